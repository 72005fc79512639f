// SPDX-License-Identifier: BSD-3-Clause

package listen_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/listen"
	"o7gw/proxy/listen/listentest"
	"o7gw/proxy/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func book() *ledger.Book { return ledger.New("test", "", listentest.Quiet) }

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestGate(t *testing.T) {
	g := listen.NewGate(4)
	enter := func(want bool, from string) {
		t.Helper()
		if got := g.Enter(netip.MustParseAddr(from)); got != want {
			t.Errorf("%s: %v", from, got)
		}
	}
	enter(true, "192.0.2.1")
	enter(true, "::ffff:192.0.2.1")
	enter(false, "192.0.2.1") // half of the places
	enter(true, "2001:db8::1")
	enter(true, "2001:db8::2")
	enter(false, "2001:db8::3") // of the same network, and there is no place
	enter(false, "127.0.0.1")
	g.Leave(netip.MustParseAddr("2001:db8::3"))
	enter(true, "2001:db8::4")
	g.Set(6)
	enter(true, "192.0.2.1")
	enter(false, "192.0.2.1")
	enter(true, "127.0.0.1")
	enter(false, "127.0.0.1")

	own := listen.NewGate(3)
	for range 3 {
		if !own.Enter(netip.MustParseAddr("::1")) {
			t.Error("the machine itself may take all places")
		}
	}
}

// greet answers each connection with a byte and waits for its end.
func greet(ctx context.Context, c *net.TCPConn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	c.Write([]byte("x"))
	io.Copy(io.Discard, c)
}

// connect returns a connection that was greeted, or why there is none.
func connect(to netip.AddrPort) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", to.String(), patience)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func TestTCP(t *testing.T) {
	b := book()
	l := listen.NewTCP(listentest.Quiet, b, 2, greet)
	defer l.Close()
	if err := l.Listen([]netip.AddrPort{at("127.0.0.1:0"), at("127.0.0.2:0")}); err != nil {
		t.Fatal(err)
	}
	open := l.Addrs()
	if len(open) != 2 {
		t.Fatal(open)
	}
	first, err := connect(open[0])
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := connect(open[1])
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := connect(open[0]); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("above the limit: %v", err)
	}
	if n := b.Snapshot(0).Refused; n != 1 {
		t.Errorf("%d refused", n)
	}
	l.SetMax(3)
	third, err := connect(open[0])
	if err != nil {
		t.Fatal(err)
	}
	third.Close()

	// One address stays, one comes, one cannot be had: all or nothing.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := l.Listen([]netip.AddrPort{at("127.0.0.3:0"), taken.Addr().(*net.TCPAddr).AddrPort()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
	if now := l.Addrs(); !slices.Equal(now, open) {
		t.Errorf("%v, before %v", now, open)
	}
	if err := l.Listen([]netip.AddrPort{at("127.0.0.2:0"), at("127.0.0.3:0")}); err != nil {
		t.Fatal(err)
	}
	now := l.Addrs()
	if len(now) != 2 || now[0] != open[1] {
		t.Errorf("%v, before %v", now, open)
	}
	if _, err := connect(open[0]); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the closed address: %v", err)
	}
	l.Drain()
	if _, err := connect(now[0]); err == nil {
		t.Error("connected after Drain")
	}
	if err := l.Listen([]netip.AddrPort{at("127.0.0.1:0")}); err == nil {
		t.Error("Listen after Drain")
	}
	if _, err := first.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	l.Close()
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlives Close")
	}
}

// dialer begins UDP sessions with the echo service.
func dialer(w *listentest.World) func(context.Context) (*proxy.Packets, ledger.Info, error) {
	return func(ctx context.Context) (*proxy.Packets, ledger.Info, error) {
		p, err := w.Dialer.DialUDP(ctx, listentest.Service, qos.Spec{}, session.Request{Port: 7})
		return p, ledger.Info{Proto: session.UDP}, err
	}
}

func datagram(text string) []proxy.Datagram {
	b := packet.Get(len(text))
	b.Append([]byte(text))
	return []proxy.Datagram{{Buf: b}}
}

// TestSessions: a session begins once, sends what has waited for its flow, ends
// when it is idle, and a failed one is not tried again at once.
func TestSessions(t *testing.T) {
	w := listentest.New(t, nil)
	b := book()
	s := listen.NewSessions[string](b, 3*listen.SweepEvery)
	defer s.Close()
	var mu sync.Mutex
	places := 0
	answers := make(chan string, 100)
	begin := listen.Beginning{
		Dial: dialer(w),
		Answer: func(d []proxy.Datagram) {
			for i := range d {
				answers <- string(d[i].Buf.Bytes())
			}
			listen.Release(d)
		},
		Enter: func() bool {
			mu.Lock()
			defer mu.Unlock()
			places++
			return places <= 2
		},
		Leave: func() {
			mu.Lock()
			defer mu.Unlock()
			places--
		},
	}
	one := s.Begin("one", begin)
	if again := s.Begin("one", begin); one == nil || again != one || s.Find("one") != one {
		t.Fatal("a second session of the same key")
	}
	want := []string{"a", "b", "c"}
	for _, text := range want {
		s.Send(one, datagram(text))
	}
	for _, text := range want {
		if got := <-answers; got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
	fails := begin
	tries := make(chan struct{}, 10)
	fails.Dial = func(context.Context) (*proxy.Packets, ledger.Info, error) {
		tries <- struct{}{}
		return nil, ledger.Info{}, session.Refused
	}
	two := s.Begin("two", fails)
	if s.Begin("three", begin) != nil {
		t.Fatal("a session without a place")
	}
	mu.Lock()
	places--
	mu.Unlock()
	<-tries
	for b.Snapshot(0).Refused == 0 {
		time.Sleep(time.Millisecond)
	}
	s.Send(two, datagram("lost"))
	if s.Begin("two", fails) != two {
		t.Error("tried again at once")
	}
	s.Sweep()
	if two.Over() {
		t.Error("forgotten too early")
	}
	s.Sweep()
	if !two.Over() || s.Find("two") != nil || one.Over() {
		t.Error("two sweeps after it failed a session is over, and no other")
	}
	for range 2 {
		s.Sweep()
	}
	if !one.Over() || b.Sessions() != 0 {
		t.Error("an idle session goes on")
	}
	s.Send(one, datagram("too late"))
	mu.Lock()
	defer mu.Unlock()
	if places != 0 {
		t.Errorf("%d places taken by nobody", places)
	}
}

// TestSessionsEnd: the peer ends a session; Close ends those whose flows are
// still being allocated.
func TestSessionsEnd(t *testing.T) {
	w := listentest.New(t, nil)
	s := listen.NewSessions[int](book(), time.Minute)
	flows := make(chan *proxy.Packets, 1)
	begin := listen.Beginning{
		Dial: func(ctx context.Context) (*proxy.Packets, ledger.Info, error) {
			p, i, err := dialer(w)(ctx)
			flows <- p
			return p, i, err
		},
		Answer: listen.Release,
	}
	one := s.Begin(1, begin)
	s.Send(one, datagram("x"))
	flow := <-flows
	flow.Flow().Close() // as the layer does when it loses the flow
	waits := begin
	dialling := make(chan struct{})
	waits.Dial = func(ctx context.Context) (*proxy.Packets, ledger.Info, error) {
		close(dialling)
		<-ctx.Done()
		return nil, ledger.Info{}, ctx.Err()
	}
	two := s.Begin(2, waits)
	<-dialling
	s.Send(two, datagram("x"))
	s.Drain()
	if s.Begin(3, begin) != nil {
		t.Error("a session after Drain")
	}
	s.Close()
	if !one.Over() || !two.Over() {
		t.Error("a session outlives Close")
	}
}

// TestUDP: a client at a wildcard address gets its answers from the address
// that it has asked, and has a session of its own.
func TestUDP(t *testing.T) {
	w := listentest.New(t, nil)
	b := book()
	gate := listen.NewGate(2)
	u, err := listen.ListenUDP(at("0.0.0.0:0"), gate, time.Minute, b, func(ctx context.Context, _ netip.AddrPort) (*proxy.Packets, ledger.Info, error) {
		return dialer(w)(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9), Port: int(u.Addr().Port())}
	client := func() *net.UDPConn {
		c, err := net.DialUDP("udp", nil, to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	buf := make([]byte, 100)
	for range 2 {
		c := client()
		c.SetDeadline(time.Now().Add(patience))
		c.Write([]byte("hello"))
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
	if n := b.Sessions(); n != 2 {
		t.Errorf("%d sessions", n)
	}
	third := client()
	for u.Dropped() == 0 {
		third.Write([]byte("no place"))
		time.Sleep(time.Millisecond)
	}
	u.Close()
	if n := b.Sessions(); n != 0 {
		t.Errorf("%d sessions after Close", n)
	}
	if !gate.Enter(netip.MustParseAddr("127.0.0.1")) {
		t.Error("the places were not given back")
	}
}
