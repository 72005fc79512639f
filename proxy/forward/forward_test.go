// SPDX-License-Identifier: BSD-3-Clause

package forward_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/proxy"
	"o7gw/proxy/exit"
	"o7gw/proxy/expose"
	"o7gw/proxy/forward"
	"o7gw/proxy/policy"
	"o7gw/proxy/proxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// echoServers are a TCP and a UDP echo server of the kernel.
func echoServers(t testing.TB) (tcp, udp string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 65536)
		for {
			n, a, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			p.WriteTo(buf[:n], a)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		p.Close()
		<-done
		<-done
	})
	return l.Addr().String(), p.LocalAddr().String()
}

// freePort returns a port of the loopback interface that nobody uses.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func start(t testing.TB, cfg forward.Config, s proxytest.Stack) {
	t.Helper()
	f := forward.New(cfg, &proxy.Dialer{Stack: s}, quiet)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
}

// echoed sends data and wants it back.
func echoed(t testing.TB, network string, at netip.AddrPort, data []byte) {
	t.Helper()
	c, err := net.Dial(network, at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, len(data))
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%s: %v", network, err)
	}
}

// TestForward: TCP and UDP, to a service, to a target beyond an exit, and
// plain.
func TestForward(t *testing.T) {
	client, server := proxytest.Pair(t, "svc", "exit", "plain")
	tcp, udp := echoServers(t)
	ec := expose.Defaults()
	ec.Name, ec.Service = "e", "svc"
	ec.TCP, ec.UDP = map[uint16]string{7: tcp}, map[uint16]string{7: udp}
	e := expose.New(ec, server, quiet)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	pc := expose.Defaults()
	pc.Name, pc.Service, pc.Plain, pc.TCP = "p", "plain", true, ec.TCP
	p := expose.New(pc, server, quiet)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	xc := exit.Defaults()
	xc.Name, xc.Service = "x", "exit"
	xc.Policy = policy.Policy{Allow: []policy.Rule{{Targets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}}
	x := exit.New(xc, server, quiet)
	if err := x.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer x.Close()

	host := func(addr string) (string, uint16) {
		a := netip.MustParseAddrPort(addr)
		return a.Addr().String(), a.Port()
	}
	for name, cfg := range map[string]forward.Config{
		"service": {Service: "svc", Port: 7}, "default port": {Service: "svc"}, "plain": {Service: "plain", Plain: true},
		"exit": {Service: "exit"},
	} {
		t.Run(name, func(t *testing.T) {
			d := forward.Defaults()
			cfg.Name, cfg.MaxSessions, cfg.IdleUDP = "f", d.MaxSessions, d.IdleUDP
			ct, cu := cfg, cfg
			ct.TCP = []netip.AddrPort{freePort(t)}
			cu.UDP = []netip.AddrPort{freePort(t)}
			if name == "exit" {
				ct.Host, ct.Port = host(tcp)
				cu.Host, cu.Port = host(udp)
			}
			start(t, ct, client)
			echoed(t, "tcp", ct.TCP[0], bytes.Repeat([]byte("hello"), 10000))
			if name == "plain" {
				return
			}
			start(t, cu, client)
			for _, n := range []int{1, 200, 9000, 65507} {
				echoed(t, "udp", cu.UDP[0], bytes.Repeat([]byte{byte(n)}, n))
			}
		})
	}
}
