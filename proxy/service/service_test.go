// SPDX-License-Identifier: BSD-3-Clause

package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/policy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// pipes serves each call with a new TCP connection to an echo server.
type pipes struct {
	at      string
	unknown atomic.Bool
	denied  atomic.Bool
	hang    atomic.Bool // the target does not answer
}

func (p *pipes) Knows(policy.Peer) bool { return !p.unknown.Load() }

func (p *pipes) Serve(ctx context.Context, c *Call) {
	var conn net.Conn
	err := c.Dial(ctx, func(ctx context.Context) (err error) {
		if p.hang.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		conn, err = net.Dial("tcp", p.at)
		return err
	})
	if err != nil {
		c.Refuse(err)
		return
	}
	c.TCP(ctx, conn.(*net.TCPConn), func() bool { return !p.denied.Load() })
}

// echo is an echo server.
func echo(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxytest.Serve(t, l, proxytest.Echo)
	return l.Addr().String()
}

// start starts a service of pipes.
func start(t testing.TB, s proxy.Stack, cfg Config) (*Service, *pipes, *ledger.Book) {
	t.Helper()
	book := ledger.New("test", "", quiet)
	p := &pipes{at: echo(t)}
	service := New(cfg, s, book, quiet, p)
	if err := service.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })
	return service, p, book
}

func dial(t testing.TB, s proxy.Stack, name string) (*proxy.Conn, error) {
	d := proxy.Dialer{Stack: s}
	c, err := d.DialTCP(t.Context(), name, qos.Spec{}, session.Request{})
	if err == nil {
		t.Cleanup(c.Reset)
	}
	return c, err
}

// works sends something through a session and wants it back.
func works(t testing.TB, c *proxy.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Fatal(string(got), err)
	}
}

// broken waits for the end of a session, which has not been orderly.
func broken(t testing.TB, c *proxy.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// TestSilentFlows: flows that send no request make room for those that do, and
// cost no session.
func TestSilentFlows(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	service, _, book := start(t, server, Config{Name: "svc", Limits: policy.Limits{Sessions: 2, Rate: 1, Burst: 2}})
	service.lobby.max = 8
	var flows []*o7s.Flow
	for range 40 {
		f, err := client.Dial(t.Context(), "svc", o7s.WithQoS(qos.Data))
		if err != nil {
			t.Fatal(err)
		}
		f.SetLinger(0)
		defer f.Close()
		flows = append(flows, f)
	}
	for range 2 {
		c, err := dial(t, client, "svc")
		if err != nil {
			t.Fatal(err)
		}
		works(t, c)
	}
	// The oldest have gone.
	flows[0].SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := flows[0].ReadPacket(make([]byte, 100)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a flow that says nothing: %v", err)
	}
	if s := book.Snapshot(10); s.Open != 2 || s.Refused == 0 {
		t.Errorf("%+v", s)
	}
	if _, err := dial(t, client, "svc"); session.StatusOf(err) != session.Busy {
		t.Errorf("a third session: %v", err)
	}
}

// TestRubbish: a flow that sends no request but something else is told so and
// harms nobody.
func TestRubbish(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	start(t, server, Config{Name: "svc"})
	for _, qs := range []qos.Spec{qos.Data, qos.Raw} {
		f, err := client.Dial(t.Context(), "svc", o7s.WithQoS(qs))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.WritePacket([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		f.SetReadDeadline(time.Now().Add(10 * time.Second))
		var buf [100]byte
		n, _, err := f.ReadPacket(buf[:])
		if err != nil {
			t.Fatal(err)
		}
		if s, _, err := session.ParseStatus(buf[:n]); err != nil || s != session.BadRequest {
			t.Errorf("%v, %v", s, err)
		}
	}
	c, err := dial(t, client, "svc")
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
}

// TestDials: calls whose targets do not answer make room for others.
func TestDials(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	service, p, book := start(t, server, Config{Name: "svc"})
	service.dials.max = 4
	p.hang.Store(true)
	ended := make(chan error, 6)
	for range cap(ended) {
		go func() {
			_, err := dial(t, client, "svc")
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; session.StatusOf(err) != session.Busy {
			t.Errorf("%v", err)
		}
	}
	p.hang.Store(false)
	for range 3 {
		c, err := dial(t, client, "svc")
		if err != nil {
			t.Fatal(err)
		}
		works(t, c)
	}
	service.Close()
	for range 4 {
		if err := <-ended; err == nil {
			t.Error("a session with nobody")
		}
	}
	if s := book.Snapshot(0); s.Open != 0 || s.Total != 3 {
		t.Errorf("%+v", s)
	}
}

// TestPolicy: who is unknown is told so; a change of the policy ends what it
// forbids.
func TestPolicy(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	service, p, book := start(t, server, Config{Name: "svc"})
	c, err := dial(t, client, "svc")
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	if n := service.Recheck(); n != 0 {
		t.Errorf("%d sessions ended that are allowed", n)
	}
	works(t, c)
	p.denied.Store(true)
	if n := service.Recheck(); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	broken(t, c)
	if _, err := dial(t, client, "svc"); session.StatusOf(err) != session.Denied {
		t.Errorf("denied meanwhile: %v", err)
	}
	p.denied.Store(false)
	p.unknown.Store(true)
	if _, err := dial(t, client, "svc"); session.StatusOf(err) != session.Denied {
		t.Errorf("unknown: %v", err)
	}
	if s := book.Snapshot(0); s.Refused != 2 || s.Total != 1 {
		t.Errorf("%+v", s)
	}
}

// TestPlain: without session protocol; raw flows are no byte streams.
func TestPlain(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	_, p, _ := start(t, server, Config{Name: "svc", Plain: true})
	d := proxy.Dialer{Stack: client}
	c, err := d.DialPlain(t.Context(), "svc", qos.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	c.Close()
	gone := func(qs qos.Spec) {
		t.Helper()
		f, err := client.Dial(t.Context(), "svc", o7s.WithQoS(qs))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, _, err := f.ReadPacket(make([]byte, 100)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	gone(qos.Raw)
	p.unknown.Store(true)
	gone(qos.Data)
}

// TestLife: what Drain and Close end, and in which order they may come.
func TestLife(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	service, _, book := start(t, server, Config{Name: "svc"})
	if err := service.Listen(t.Context()); err != nil {
		t.Errorf("once more: %v", err)
	}
	c, err := dial(t, client, "svc")
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	service.Unlisten("down", errors.New("test"))
	if s := book.Snapshot(0); s.State != "down" || s.LastError != "test" {
		t.Errorf("%+v", s)
	}
	if _, err := dial(t, client, "svc"); !proxy.NobodyServes(err) {
		t.Errorf("while it is down: %v", err)
	}
	works(t, c)
	if err := service.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := dial(t, client, "svc"); err != nil {
		t.Errorf("up again: %v", err)
	} else {
		works(t, d)
	}
	service.Drain()
	service.Drain()
	works(t, c)
	if _, err := dial(t, client, "svc"); !proxy.NobodyServes(err) {
		t.Errorf("while it drains: %v", err)
	}
	if err := service.Listen(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen after drain: %v", err)
	}
	for range 2 {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	}
	broken(t, c)
	if s := book.Snapshot(0); s.Open != 0 {
		t.Errorf("%+v", s)
	}
	fresh := New(Config{Name: "svc"}, server, book, quiet, &pipes{})
	if err := fresh.Close(); err != nil { // never started
		t.Error(err)
	}
}

// flaky is a listener that fails a few times.
type flaky struct {
	proxy.Listener
	fail atomic.Int32
}

func (f *flaky) AcceptFlow(ctx context.Context) (*o7s.Flow, error) {
	if f.fail.Add(-1) >= 0 {
		return nil, errors.New("out of order")
	}
	return f.Listener.AcceptFlow(ctx)
}

// flakyStack gives flaky listeners.
type flakyStack struct{ proxytest.Stack }

func (s flakyStack) Listen(ctx context.Context, name string) (proxy.Listener, error) {
	l, err := s.Stack.Listen(ctx, name)
	f := &flaky{Listener: l}
	f.fail.Store(2)
	return f, err
}

// TestAcceptFails: flows are taken again when that is possible again.
func TestAcceptFails(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	_, _, book := start(t, flakyStack{server}, Config{Name: "svc"})
	c, err := dial(t, client, "svc")
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	if s := book.Snapshot(0); s.State != "up" || s.LastError != "out of order" {
		t.Errorf("%+v", s)
	}
}
