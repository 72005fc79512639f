// SPDX-License-Identifier: BSD-3-Clause

package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is an account that nobody reads.
func book() *ledger.Book { return ledger.New("test", "", slog.New(slog.DiscardHandler)) }

// serve takes sessions for the name until the test ends.
func serve(t testing.TB, s proxytest.Stack, name string, handle func(*proxy.Incoming)) {
	t.Helper()
	l, err := s.Listen(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			f, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			wg.Go(func() {
				in, err := proxy.Accept(context.Background(), f)
				if err == nil {
					handle(in)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
}

// to takes sessions to a TCP server.
func to(t testing.TB, addr string) func(*proxy.Incoming) {
	return func(in *proxy.Incoming) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			in.Refuse(session.StatusOf(err))
			return
		}
		conn, err := in.AcceptTCP()
		if err != nil {
			c.Close()
			return
		}
		b := book().Open(ledger.Info{})
		b.Close(proxy.Relay(context.Background(), c.(*net.TCPConn), conn, b))
	}
}

// tcpServer calls handle for each connection until the test ends.
func tcpServer(t testing.TB, handle func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxytest.Serve(t, l, handle)
	return l.Addr().String()
}

// entrance is a TCP address whose connections become sessions with a service.
func entrance(t testing.TB, s proxytest.Stack, service string, qs qos.Spec) string {
	d := &proxy.Dialer{Stack: s}
	return tcpServer(t, func(c *net.TCPConn) {
		conn, err := d.DialTCP(context.Background(), service, qs, session.Request{})
		if err != nil {
			c.SetLinger(0)
			return
		}
		b := book().Open(ledger.Info{})
		b.Close(proxy.Relay(context.Background(), c, conn, b))
	})
}

func dialTCP(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// TestHalfClose: each direction of a connection ends on its own, through two
// relays.
func TestHalfClose(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	sum := tcpServer(t, func(c *net.TCPConn) {
		// Answers only after the client's end.
		data, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		h := sha256.Sum256(data)
		c.Write(h[:])
		c.CloseWrite()
	})
	serve(t, server, "svc", to(t, sum))
	in := entrance(t, client, "svc", qos.Spec{})
	data := make([]byte, 3<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(data)
	c := dialTCP(t, in)
	defer c.Close()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if want := sha256.Sum256(data); err != nil || !bytes.Equal(got, want[:]) {
		t.Fatalf("%x, %v", got, err)
	}
}

// TestReset: an aborted connection is aborted at the other end, in both
// directions.
func TestReset(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	errs := make(chan error, 1)
	srv := tcpServer(t, func(c *net.TCPConn) {
		var b [1]byte
		c.Read(b[:])
		if b[0] == 'r' {
			c.SetLinger(0)
			return
		}
		_, err := c.Read(b[:])
		errs <- err
	})
	serve(t, server, "svc", to(t, srv))
	in := entrance(t, client, "svc", qos.Spec{})

	c := dialTCP(t, in)
	c.Write([]byte("r"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server aborted, the client sees %v", err)
	}
	c.Close()

	c = dialTCP(t, in)
	c.Write([]byte("x"))
	c.SetLinger(0)
	c.Close()
	if err := <-errs; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client aborted, the server sees %v", err)
	}
}

// nets are the layers that sessions are tested and measured over.
var nets = []struct {
	name string
	pair func(t testing.TB, names ...string) (client, server proxytest.Stack)
}{
	{"udp4", proxytest.Pair},
	{"udp4-1500", func(t testing.TB, names ...string) (a, b proxytest.Stack) {
		return proxytest.PairMTU(t, 1500, names...)
	}},
	{"daemons-1500", func(t testing.TB, names ...string) (a, b proxytest.Stack) {
		return proxytest.Daemons(t, 1500, names...)
	}},
	{"local", func(t testing.TB, _ ...string) (a, b proxytest.Stack) { return proxytest.Local(t) }},
	{"unicast-1500", func(t testing.TB, _ ...string) (a, b proxytest.Stack) { return proxytest.Unicast(t, 1500) }},
}

// TestRefusals: every reason has its status, and soon.
func TestRefusals(t *testing.T) {
	for _, n := range nets {
		t.Run(n.name, func(t *testing.T) { testRefusals(t, n.pair) })
	}
}

func testRefusals(t *testing.T, pair func(testing.TB, ...string) (a, b proxytest.Stack)) {
	client, server := pair(t, "closed", "silent", "nobody")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	serve(t, server, "closed", to(t, l.Addr().String()))
	silent := make(chan struct{})
	serve(t, server, "silent", func(in *proxy.Incoming) { <-silent; in.Refuse(session.Busy) })
	d := &proxy.Dialer{Stack: client}
	for name, want := range map[string]session.Status{"closed": session.Refused, "nobody": session.Refused, "unknown": session.Refused} {
		begin := time.Now()
		_, err := d.DialTCP(t.Context(), name, qos.Spec{}, session.Request{})
		if session.StatusOf(err) != want {
			t.Errorf("%s: %v (%v), want %v", name, session.StatusOf(err), err, want)
		}
		t.Logf("%s: %v after %v", name, err, time.Since(begin))
		if _, err = d.DialUDP(t.Context(), name, qos.Spec{}, session.Request{}); session.StatusOf(err) == session.OK {
			t.Errorf("%s takes UDP", name)
		}
	}
	short := &proxy.Dialer{Stack: client, Timeout: 50 * time.Millisecond}
	if _, err := short.DialTCP(t.Context(), "silent", qos.Spec{}, session.Request{}); session.StatusOf(err) != session.TimedOut {
		t.Errorf("silent: %v", err)
	}
	close(silent)
	if err := error(session.Refused); proxy.NobodyServes(err) || !proxy.NobodyServes(layer.ErrNoName) {
		t.Error("wrong idea of who serves")
	}
}
