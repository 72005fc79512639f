// SPDX-License-Identifier: BSD-3-Clause

package expose_test

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/expose"
	"o7gw/proxy/health"
	"o7gw/proxy/policy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

func port(t testing.TB, addr string) uint16 {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// TestPorts: which request reaches which service.
func TestPorts(t *testing.T) {
	client, server := proxytest.Pair(t, "svc", "any")
	one, _ := echoTCP(t, "127.0.0.1:0", "one")
	two, _ := echoTCP(t, "127.0.0.1:0", "two")
	udp := echoUDP(t)
	cfg := config("svc")
	cfg.TCP = map[uint16]string{8080: two, 80: one, 81: closed(t)}
	cfg.UDP = map[uint16]string{7: udp}
	e := start(t, cfg, server)
	anyPort := config("any")
	anyPort.AnyTCP, anyPort.AnyUDP = "127.0.0.1", "127.0.0.1"
	anyPort.TCP = map[uint16]string{80: one}
	start(t, anyPort, server)

	for _, c := range []struct {
		service  string
		req      session.Request
		greeting string
		status   session.Status
	}{
		{"svc", session.Request{Port: 80}, "one", session.OK},
		{"svc", session.Request{Port: 8080}, "two", session.OK},
		{"svc", session.Request{}, "one", session.OK}, // the lowest
		{"svc", session.Request{Port: 81}, "", session.Refused},
		{"svc", session.Request{Port: 7}, "", session.Refused}, // is UDP
		{"svc", session.Request{Port: port(t, one)}, "", session.Refused},
		{"svc", session.Request{Host: "localhost", Port: 80}, "", session.Denied},
		{"svc", session.Request{Addr: netip.MustParseAddr("127.0.0.1"), Port: port(t, one)}, "", session.Denied},
		{"any", session.Request{Port: 80}, "one", session.OK},
		{"any", session.Request{Port: port(t, two)}, "two", session.OK},
		{"any", session.Request{Port: port(t, closed(t))}, "", session.Refused},
	} {
		conn, err := dialTCP(t, client, c.service, c.req)
		if session.StatusOf(err) != c.status {
			t.Errorf("%s %+v: %v", c.service, c.req, err)
		}
		if err == nil {
			if got := read(t, conn, len(c.greeting)); got != c.greeting {
				t.Errorf("%s %+v: %q", c.service, c.req, got)
			}
			works(t, conn)
		}
	}
	for _, c := range []struct {
		service string
		port    uint16
		status  session.Status
	}{
		{"svc", 7, session.OK},
		{"svc", 0, session.OK},
		{"svc", 80, session.Refused},
		{"any", port(t, udp), session.OK},
		{"any", 0, session.Refused},
	} {
		p, err := dialUDP(t, client, c.service, session.Request{Port: c.port})
		if session.StatusOf(err) != c.status {
			t.Errorf("UDP %s:%d: %v", c.service, c.port, err)
		}
		if err == nil {
			echoed(t, p, "datagram")
		}
	}
	// Who it was, and what for.
	source := netip.MustParseAddrPort("192.0.2.7:1234")
	conn, err := dialTCP(t, client, "svc", session.Request{Port: 80, Source: source})
	if err != nil {
		t.Fatal(err)
	}
	read(t, conn, 3)
	works(t, conn)
	eventually(t, "the book has not what was carried", func() bool {
		s := e.Book().Snapshot(1).Sessions[0]
		return s.RxBytes == 5 && s.TxBytes == 8
	})
	if s := e.Book().Snapshot(1).Sessions[0]; s.Source != source.String() || s.Target != one || s.Service != "svc" || s.Proto != "tcp" {
		t.Errorf("%+v", s)
	}
}

// TestNobodyListens: a UDP port at which nobody listens ends the session.
func TestNobodyListens(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	cfg := config("svc")
	cfg.AnyUDP = "127.0.0.1"
	e := start(t, cfg, server)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := port(t, c.LocalAddr().String())
	c.Close()
	p, err := dialUDP(t, client, "svc", session.Request{Port: at})
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	p.Receive(func([]proxy.Datagram) {}, func(err error) { gone <- err })
	send(t, p, "anybody?")
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the session goes on")
	}
	eventually(t, "the session is still in the book", func() bool { return e.Book().Sessions() == 0 })
}

// TestPeers: what a peer may do depends on its certificate, and on the layer.
func TestPeers(t *testing.T) {
	dirs := certify(t, []map[string]string{
		{"client/svc": "alice.example", "client/layer": "alice.example"}, {"client/svc": "bob.example"}, nil, nil,
	})
	m := members(t, 1, 4, map[string][]int{"svc": {3}, "layer": {3}}, dirs...)
	alice, bob, nobody, server := m[0], m[1], m[2], m[3]
	web, _ := echoTCP(t, "127.0.0.1:0", "")
	cfg := config("svc")
	cfg.TCP = map[uint16]string{80: web, 22: web}
	cfg.Policy = policy.Policy{Allow: []policy.Rule{
		{Peers: []string{"alice.*"}},
		{Peers: []string{"*"}, Ports: []route.PortRange{{First: 80, Last: 80}}},
	}}
	e := start(t, cfg, server)
	other := config("layer")
	other.TCP = cfg.TCP
	other.Policy = policy.Policy{Allow: []policy.Rule{{Layers: []string{"net"}}}}
	start(t, other, server)

	for _, c := range []struct {
		name    string
		from    *member
		service string
		port    uint16
		status  session.Status
	}{
		{"alice", alice, "svc", 22, session.OK},
		{"bob", bob, "svc", 80, session.OK},
		{"bob", bob, "svc", 22, session.Denied},
		{"bob", bob, "svc", 0, session.Denied}, // is 22
		{"nobody", nobody, "svc", 80, session.Denied},
		{"a program of the same node", server, "svc", 80, session.Denied},
		{"the layer", nobody, "layer", 22, session.OK},
		{"the same node is no layer", server, "layer", 22, session.Denied},
	} {
		conn, err := dialTCP(t, c.from, c.service, session.Request{Port: c.port})
		if session.StatusOf(err) != c.status {
			t.Errorf("%s, %s:%d: %v", c.name, c.service, c.port, err)
		}
		if err == nil {
			works(t, conn)
			conn.Close()
		}
	}

	// A policy that changes ends what it forbids, and nothing else.
	a, err := dialTCP(t, alice, "svc", session.Request{Port: 22})
	if err != nil {
		t.Fatal(err)
	}
	b, err := dialTCP(t, bob, "svc", session.Request{Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	works(t, a)
	works(t, b)
	peers := []string{}
	for _, s := range e.Book().Snapshot(10).Sessions {
		peers = append(peers, s.Peer)
	}
	if !slices.Contains(peers, "alice.example") || !slices.Contains(peers, "bob.example") {
		t.Errorf("the book has %q", peers)
	}
	cfg.Policy = policy.Policy{Allow: []policy.Rule{{Peers: []string{"bob.example"}}}}
	if keys := e.Update(cfg); len(keys) != 0 {
		t.Errorf("restart for %v", keys)
	}
	over(t, a)
	works(t, b)
	if _, err := dialTCP(t, alice, "svc", session.Request{Port: 22}); session.StatusOf(err) != session.Denied {
		t.Errorf("alice: %v", err)
	}
}

// TestUpdate: new services for new sessions, and what needs a new object.
func TestUpdate(t *testing.T) {
	client, server := proxytest.Pair(t, "svc", "other")
	one, _ := echoTCP(t, "127.0.0.1:0", "one")
	two, _ := echoTCP(t, "127.0.0.1:0", "two")
	cfg := config("svc")
	cfg.TCP = map[uint16]string{80: one}
	e := start(t, cfg, server)
	first, err := dialTCP(t, client, "svc", session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	read(t, first, 3)
	next := cfg
	next.TCP = map[uint16]string{80: two}
	next.Limits.Sessions = 2
	next.Service, next.Plain, next.DialTimeout = "other", true, time.Second
	if keys := e.Update(next); !slices.Equal(keys, []string{"service", "plain"}) {
		t.Errorf("restart for %v", keys)
	}
	if c := e.Config(); c.Service != "svc" || c.Plain || c.DialTimeout != time.Second {
		t.Errorf("%+v", c)
	}
	second, err := dialTCP(t, client, "svc", session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, second, 3); got != "two" {
		t.Errorf("%q", got)
	}
	works(t, first)
	if _, err := dialTCP(t, client, "svc", session.Request{}); session.StatusOf(err) != session.Busy {
		t.Errorf("a third session: %v", err)
	}
	first.Close()
	eventually(t, "the place of a session is not free again", func() bool {
		c, err := dialTCP(t, client, "svc", session.Request{})
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// TestPlain: bytes of a flow to TCP, with half-close both ways.
func TestPlain(t *testing.T) {
	client, server := proxytest.Pair(t, "svc", "down")
	at, _ := echoTCP(t, "127.0.0.1:0", "")
	cfg := config("svc")
	cfg.Plain, cfg.TCP = true, map[uint16]string{7: at}
	cfg.Policy = policy.Policy{Allow: []policy.Rule{{Ports: []route.PortRange{{First: 7, Last: 7}}}}}
	e := start(t, cfg, server)
	d := proxy.Dialer{Stack: client}
	c, err := d.DialPlain(t.Context(), "svc", qos.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Reset()
	works(t, c)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	over(t, c)
	if s := e.Book().Snapshot(0); s.Total != 1 || s.RxBytes != 5 {
		t.Errorf("%+v", s)
	}
	cfg = config("down")
	cfg.Plain, cfg.TCP = true, map[uint16]string{7: closed(t)}
	start(t, cfg, server)
	if c, err = d.DialPlain(t.Context(), "down", qos.Spec{}); err != nil {
		t.Fatal(err)
	}
	defer c.Reset()
	over(t, c)
}

// TestIdle: a UDP session ends when nothing passes.
func TestIdle(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	cfg := config("svc")
	cfg.UDP, cfg.IdleUDP = map[uint16]string{7: echoUDP(t)}, 100*time.Millisecond
	e := start(t, cfg, server)
	p, err := dialUDP(t, client, "svc", session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	echoed(t, p, "once")
	eventually(t, "the session does not end", func() bool { return e.Book().Sessions() == 0 })
}

// TestHealth: the name is there while the service is.
func TestHealth(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	at := closed(t)
	cfg := config("svc")
	cfg.TCP = map[uint16]string{80: at}
	cfg.Health = health.Config{TCP: true, Interval: 5 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 2}
	e := start(t, cfg, server)
	served := func() bool {
		c, err := dialTCP(t, client, "svc", session.Request{})
		if err == nil {
			c.Close()
		} else if !proxy.NobodyServes(err) && session.StatusOf(err) != session.Refused {
			t.Fatal(err)
		}
		return err == nil
	}
	state := func(want string) {
		t.Helper()
		eventually(t, "the expose is never "+want, func() bool { return e.Book().Snapshot(0).State == want })
	}
	state("down")
	if served() {
		t.Error("the name is served while the service is down")
	}
	_, stop := echoTCP(t, at, "")
	state("up")
	c, err := dialTCP(t, client, "svc", session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	c.Close()
	stop()
	state("down")
	if _, err := dialTCP(t, client, "svc", session.Request{}); !proxy.NobodyServes(err) {
		t.Errorf("the name is still there: %v", err)
	}

	// Where the service is, and what is checked, may change.
	moved, _ := echoTCP(t, "127.0.0.1:0", "")
	cfg.TCP = map[uint16]string{80: moved}
	e.Update(cfg)
	state("up")
	cfg.Health.TCP, cfg.Health.HTTP = false, "/" // which it does not speak
	cfg.Health.Timeout = 20 * time.Millisecond
	if keys := e.Update(cfg); len(keys) != 0 {
		t.Errorf("restart for %v", keys)
	}
	state("down")
	cfg.Health = health.Defaults()
	e.Update(cfg)
	if s := e.Book().Snapshot(0).State; s != "up" || !served() {
		t.Errorf("without checks it is %s", s)
	}
}

// TestLife: Start, Drain and Close in all orders leave nothing.
func TestLife(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	at, _ := echoTCP(t, "127.0.0.1:0", "")
	for _, check := range []bool{false, true} {
		cfg := config("svc")
		cfg.TCP = map[uint16]string{80: at}
		cfg.Health.TCP, cfg.Health.Interval = check, time.Millisecond
		expose.New(cfg, server, quiet).Close() // never started
		e := start(t, cfg, server)
		if err := e.Start(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
		eventually(t, "it is never up", func() bool { return e.Book().Snapshot(0).State == "up" })
		c, err := dialTCP(t, client, "svc", session.Request{})
		if err != nil {
			t.Fatal(err)
		}
		works(t, c)
		e.Drain()
		works(t, c)
		if _, err := dialTCP(t, client, "svc", session.Request{}); !proxy.NobodyServes(err) {
			t.Errorf("while it drains: %v", err)
		}
		if err := e.Start(t.Context()); err == nil {
			t.Error("it started again")
		}
		e.Close()
		e.Close()
		over(t, c)
	}
}

// TestManyStarts: a hundred starts and stops leave nothing (goleak), and the
// name is free each time.
func TestManyStarts(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	at, _ := echoTCP(t, "127.0.0.1:0", "")
	cfg := config("svc")
	cfg.TCP = map[uint16]string{80: at}
	for i := range 100 {
		e := expose.New(cfg, server, quiet)
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(i, err)
		}
		c, err := dialTCP(t, client, "svc", session.Request{})
		if err != nil {
			t.Fatal(i, err)
		}
		if i%2 == 0 {
			works(t, c)
			c.Close()
		}
		e.Close()
	}
}

// TestCheckTarget: what the configuration may name as local service.
func TestCheckTarget(t *testing.T) {
	for at, good := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "web.example:65535": true,
		"": false, "127.0.0.1": false, ":80": false, "h:0": false, "h:65536": false, "h:http": false, "::1:80": false, "h:-1": false,
	} {
		if err := expose.CheckTarget(at); (err == nil) != good {
			t.Errorf("%q: %v", at, err)
		}
	}
	if err := expose.CheckTarget("h:" + strconv.Itoa(1<<16)); err == nil {
		t.Error("a port of 17 bits")
	}
}
