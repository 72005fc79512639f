// SPDX-License-Identifier: BSD-3-Clause

package forward_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"o7gw/proxy/expose"
	"o7gw/proxy/forward"
	"o7gw/proxy/listen/listentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

var anyPort = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}

// start runs a forward, at TCP and UDP addresses unless cfg names some.
func start(t testing.TB, w *listentest.World, cfg forward.Config) *forward.Forward {
	t.Helper()
	d := forward.Defaults()
	cfg.Name, cfg.MaxSessions, cfg.IdleUDP = "f", d.MaxSessions, d.IdleUDP
	if cfg.TCP == nil && cfg.UDP == nil {
		cfg.TCP, cfg.UDP = anyPort, anyPort
	}
	f := forward.New(cfg, w.Dialer, listentest.Quiet)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func tcpAt(f *forward.Forward) string {
	tcp, _ := f.Addrs()
	return tcp[0].String()
}

func udpAt(f *forward.Forward) string {
	_, udp := f.Addrs()
	return udp[0].String()
}

func dial(t testing.TB, network, to string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// wasReset wants a connection to be reset, which may happen before it is made.
func wasReset(t testing.TB, to string) {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %v", to, err)
	}
}

// echoedTCP sends data, ends its direction, and wants all back.
func echoedTCP(t testing.TB, c net.Conn, data []byte) {
	t.Helper()
	go func() {
		c.Write(data)
		c.(*net.TCPConn).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(data), err)
	}
}

// echoedUDP sends a datagram until it comes back.
func echoedUDP(t testing.TB, c net.Conn, data []byte) {
	t.Helper()
	buf := make([]byte, 65536)
	for range 20 {
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(buf); err == nil {
			if !bytes.Equal(buf[:n], data) {
				t.Fatalf("%d bytes came back as %d", len(data), n)
			}
			return
		}
	}
	t.Fatalf("%d bytes did not come back", len(data))
}

// TestForward: TCP and UDP, to a service, to targets beyond an exit, and
// plain.
func TestForward(t *testing.T) {
	w := listentest.New(t, nil)
	echo := w.Echo.Addr().String()
	for name, cfg := range map[string]forward.Config{
		"service":      {Service: listentest.Service, Port: 7},
		"default port": {Service: listentest.Service},
		"address":      {Service: listentest.Exit, Host: echo, Port: w.Echo.Port()},
		"host":         {Service: listentest.Exit, Host: "localhost", Port: w.Echo.Port()},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, w, cfg)
			echoedTCP(t, dial(t, "tcp", tcpAt(f)), bytes.Repeat([]byte("hello"), 50000))
			c := dial(t, "udp", udpAt(f))
			for _, n := range []int{0, 1, 200, 1472, 9000, 65507} {
				echoedUDP(t, c, bytes.Repeat([]byte{byte(n)}, n))
			}
			// One after the other, each client has a session.
			echoedUDP(t, dial(t, "udp", udpAt(f)), []byte("another client"))
			got := f.Book().Snapshot(10)
			if got.Total != 3 || got.RxBytes == 0 || got.TxBytes == 0 || got.Refused+got.Failed != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestPlain: a service that does not speak the session protocol.
func TestPlain(t *testing.T) {
	w := listentest.New(t, nil)
	cfg := expose.Defaults()
	cfg.Name, cfg.Service, cfg.Plain = "p", "plain", true
	cfg.TCP = map[uint16]string{7: w.Echo.String()}
	e := expose.New(cfg, w.Client, listentest.Quiet) // of the same node
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := start(t, w, forward.Config{TCP: anyPort, Service: "plain", Plain: true})
	echoedTCP(t, dial(t, "tcp", tcpAt(f)), bytes.Repeat([]byte("hello"), 50000))
}

// TestRefused: a client of a name that nobody serves, or a port at which
// nothing listens, is reset.
func TestRefused(t *testing.T) {
	w := listentest.New(t, nil)
	for name, cfg := range map[string]forward.Config{
		"nobody": {Service: listentest.Nobody}, "not served": {Service: listentest.Service, Port: 8},
		"nothing listens": {Service: listentest.Service, Port: 9},
		"denied":          {Service: listentest.Exit, Host: listentest.Denied, Port: 7},
		"no host":         {Service: listentest.Exit, Host: "host.invalid", Port: 7},
	} {
		f := start(t, w, cfg)
		wasReset(t, tcpAt(f))
		if got := f.Book().Snapshot(0); got.Refused != 1 || got.LastError == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestConn: a forwarded connection is a connection like any other.
func TestConn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := listentest.New(t, nil)
	at := l.Addr().(*net.TCPAddr).AddrPort()
	f := start(t, w, forward.Config{TCP: anyPort, Service: listentest.Exit, Host: at.Addr().String(), Port: at.Port()})
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, err = net.Dial("tcp", tcpAt(f))
		if err != nil {
			return nil, nil, nil, err
		}
		c2, err = l.Accept()
		return c1, c2, func() {
			c1.Close()
			c2.Close()
		}, err
	})
}

// TestAbort: a reset passes through, both ways, and so does a client that
// vanishes.
func TestAbort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := listentest.New(t, nil)
	at := l.Addr().(*net.TCPAddr).AddrPort()
	f := start(t, w, forward.Config{TCP: anyPort, Service: listentest.Exit, Host: at.Addr().String(), Port: at.Port()})
	for name, swap := range map[string]bool{"client": false, "server": true} {
		a := dial(t, "tcp", tcpAt(f))
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		b.SetDeadline(time.Now().Add(patience))
		if swap {
			a, b = b, a
		}
		a.(*net.TCPConn).SetLinger(0)
		a.Close()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reset by the %s: %v", name, err)
		}
		b.Close()
	}
}

// TestLife: what Update changes holds for new sessions and cuts none; Drain
// takes no new ones; Close ends all.
func TestLife(t *testing.T) {
	w := listentest.New(t, nil)
	f := start(t, w, forward.Config{Service: listentest.Service, Port: 7})
	old, oldUDP := dial(t, "tcp", tcpAt(f)), dial(t, "udp", udpAt(f))
	alive := func(c net.Conn) {
		t.Helper()
		c.SetDeadline(time.Now().Add(patience))
		c.Write([]byte("x"))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
	alive(old)
	echoedUDP(t, oldUDP, []byte("x"))
	cfg := f.Config()
	cfg.Port = 9 // nothing listens there
	if keys := f.Update(cfg); len(keys) > 0 {
		t.Error(keys)
	}
	wasReset(t, tcpAt(f))
	cfg.Port, cfg.MaxSessions = 7, 1
	cfg.TCP = append(slices.Clone(cfg.TCP), netip.MustParseAddrPort("127.0.0.2:0"))
	if keys := f.Update(cfg); len(keys) > 0 {
		t.Error(keys)
	}
	tcp, _ := f.Addrs()
	if len(tcp) != 2 {
		t.Fatal(tcp)
	}
	wasReset(t, tcp[1].String()) // above max_sessions
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := cfg
	bad.TCP = anyPort
	bad.UDP = []netip.AddrPort{taken.LocalAddr().(*net.UDPAddr).AddrPort()}
	bad.MaxSessions = 2
	if keys := f.Update(bad); !slices.Equal(keys, []string{"listen"}) {
		t.Error(keys)
	}
	if now := f.Config(); now.MaxSessions != 2 || !slices.Equal(now.UDP, cfg.UDP) || !slices.Equal(now.TCP, cfg.TCP) {
		t.Errorf("%+v", now)
	}
	alive(old)
	echoedUDP(t, oldUDP, []byte("x"))
	f.Drain()
	for _, a := range tcp {
		if _, err := net.Dial("tcp", a.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("drained: %v", err)
		}
	}
	alive(old)
	echoedUDP(t, oldUDP, []byte("x"))
	f.Close()
	if _, err := old.Read(make([]byte, 1)); err == nil {
		t.Error("a session outlives Close")
	}
	if n := f.Book().Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// TestStart: a forward that cannot start leaves nothing.
func TestStart(t *testing.T) {
	w := listentest.New(t, nil)
	free := w.Echo
	cfg := forward.Defaults()
	cfg.TCP = append([]netip.AddrPort{}, anyPort...)
	cfg.UDP = []netip.AddrPort{free} // taken by the echo server
	f := forward.New(cfg, w.Dialer, listentest.Quiet)
	if err := f.Start(context.Background()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
	if tcp, udp := f.Addrs(); len(tcp)+len(udp) != 0 {
		t.Error(tcp, udp)
	}
	never := forward.New(cfg, w.Dialer, listentest.Quiet)
	never.Close()
	never.Close()
}

// TestNC: nc with half-close through a forward.
func TestNC(t *testing.T) {
	path, err := exec.LookPath("nc")
	if err != nil {
		t.Skip("no nc: integration/deps.sh installs it")
	}
	w := listentest.New(t, nil)
	f := start(t, w, forward.Config{Service: listentest.Service, Port: 7})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	host, port, _ := net.SplitHostPort(tcpAt(f))
	cmd := exec.CommandContext(ctx, path, "-N", host, port)
	cmd.Stdin = strings.NewReader("hello")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello" {
		t.Fatalf("%q, %v", out, err)
	}
}

func TestStartedAndStopped(t *testing.T) {
	w := listentest.New(t, nil)
	listentest.StartedAndStopped(t, func() {
		cfg := forward.Defaults()
		cfg.TCP, cfg.UDP, cfg.Service, cfg.Port = anyPort, anyPort, listentest.Service, 7
		f := forward.New(cfg, w.Dialer, listentest.Quiet)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, u := dial(t, "tcp", tcpAt(f)), dial(t, "udp", udpAt(f))
		u.Write([]byte("on the way when it ends"))
		c.Write([]byte("x"))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		c.Close()
		u.Close()
	})
}
