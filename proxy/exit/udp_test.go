// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net/netip"
	"testing"
	"time"

	"o7gw/proxy/policy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

// TestUDP: one socket for all targets, of both families; answers come from
// those to whom something was sent, at any of their ports.
func TestUDP(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	e := start(t, config(allow("127.0.0.0/8", "::1/128")), server)
	one, two, six := newParty(t, "127.0.0.1:0"), newParty(t, "127.0.0.2:0"), newParty(t, "[::1]:0")
	u, err := openUDPSession(t, client, to(one.addr()))
	if err != nil {
		t.Fatal(err)
	}
	u.send(netip.AddrPort{}, "to the target")
	d := one.receive()
	if d.data != "to the target" {
		t.Errorf("%q", d.data)
	}
	outside := d.from
	two.send(outside, "nobody asked") // is dropped
	one.send(outside, "answer")
	if d := u.receive(); d.data != "answer" || d.from != one.addr() {
		t.Errorf("%+v", d)
	}
	u.send(two.addr(), "to another")
	if d := two.receive(); d.from != outside || d.data != "to another" {
		t.Errorf("%+v, but it was %v before", d, outside)
	}
	two.send(outside, "hello")
	if d := u.receive(); d.data != "hello" || d.from != two.addr() {
		t.Errorf("%+v", d)
	}
	port := newParty(t, "127.0.0.2:0") // another port of a known address
	port.send(outside, "from another port")
	if d := u.receive(); d.data != "from another port" || d.from != port.addr() {
		t.Errorf("%+v", d)
	}
	u.send(six.addr(), "to IPv6")
	d = six.receive()
	if d.from.Port() != outside.Port() || d.data != "to IPv6" {
		t.Errorf("%+v, but it was %v before", d, outside)
	}
	six.send(d.from, "from IPv6")
	if d := u.receive(); d.data != "from IPv6" || d.from != six.addr() {
		t.Errorf("%+v", d)
	}
	if s := e.Book().Snapshot(1); s.RxPackets != 3 || s.TxPackets != 4 || s.Open != 1 {
		t.Errorf("%+v", s)
	}
	large := make([]byte, 65507)
	u.send(netip.AddrPort{}, string(large))
	if d := one.receive(); len(d.data) != len(large) {
		t.Errorf("%d bytes", len(d.data))
	}
}

// TestUDPPolicy: each target is checked, whatever the first was.
func TestUDPPolicy(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	z, at := serveDNS(t)
	cfg := config(allow("127.0.0.1/32", "127.0.0.3/32"), at)
	e := start(t, cfg, server)
	one, two, three := newParty(t, "127.0.0.1:0"), newParty(t, "127.0.0.2:0"), newParty(t, "127.0.0.3:0")
	z.set("one.test", "127.0.0.1")
	z.set("two.test", "127.0.0.2")
	z.set("both.test", "127.0.0.2", "127.0.0.1")
	for _, c := range []struct {
		req    session.Request
		status session.Status
	}{
		{host("one.test", one.addr().Port()), session.OK},
		{host("both.test", one.addr().Port()), session.OK},
		{host("two.test", two.addr().Port()), session.Denied},
		{to(two.addr()), session.Denied},
		{host("missing.test", 1), session.NotFound},
		{session.Request{Port: 1}, session.BadRequest},
		{session.Request{Host: "one.test"}, session.BadRequest},
		{to(netip.MustParseAddrPort("255.255.255.255:9")), session.Denied},
		{to(netip.MustParseAddrPort("224.0.0.1:9")), session.Denied},
	} {
		u, err := openUDPSession(t, client, c.req)
		if session.StatusOf(err) != c.status {
			t.Errorf("%+v: %v, want %v", c.req, err, c.status)
		}
		if err != nil {
			continue
		}
		u.send(netip.AddrPort{}, "first")
		if d := one.receive(); d.data != "first" {
			t.Errorf("%q", d.data)
		}
		for _, bad := range []string{"127.0.0.1:0", "0.0.0.0:9", "255.255.255.255:9", "224.0.0.1:9", "[::1]:9", "[ff02::1]:9"} {
			u.send(netip.MustParseAddrPort(bad), "bad")
		}
		u.send(two.addr(), "forbidden")
		u.send(three.addr(), "allowed")
		if d := three.receive(); d.data != "allowed" {
			t.Errorf("%q", d.data)
		}
	}
	two.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := two.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes at an address that is forbidden", n)
	}

	// A new policy: of the targets of a session those stay that are allowed.
	u, err := openUDPSession(t, client, to(one.addr()))
	if err != nil {
		t.Fatal(err)
	}
	u.send(netip.AddrPort{}, "hello")
	outside := one.receive().from
	u.send(three.addr(), "hello")
	three.receive()
	cfg.Policy = allow("127.0.0.1/32")
	e.Update(cfg)
	three.send(outside, "forbidden now")
	u.send(three.addr(), "forbidden now")
	one.send(outside, "still there")
	if d := u.receive(); d.data != "still there" {
		t.Errorf("%+v", d)
	}
	u.send(one.addr(), "still here")
	if d := one.receive(); d.data != "still here" {
		t.Errorf("%+v", d)
	}
	cfg.Policy = policy.Policy{}
	e.Update(cfg)
	select {
	case <-u.end:
	case <-time.After(10 * time.Second):
		t.Error("the session outlives its rule")
	}
}

// TestUDPIdle: sessions end when nothing passes.
func TestUDPIdle(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	cfg := config(allow("127.0.0.0/8"))
	cfg.IdleUDP = 100 * time.Millisecond
	e := start(t, cfg, server)
	p := newParty(t, "127.0.0.1:0")
	u, err := openUDPSession(t, client, to(p.addr()))
	if err != nil {
		t.Fatal(err)
	}
	u.send(netip.AddrPort{}, "once")
	p.receive()
	eventually(t, "the session does not end", func() bool { return e.Book().Sessions() == 0 })
	select {
	case <-u.end:
	case <-time.After(10 * time.Second):
		t.Error("the other side does not notice")
	}
}

// TestPartners: those with whom a session has not talked for long are
// forgotten, and memory is bounded.
func TestPartners(t *testing.T) {
	e := New(config(allow("10.0.0.0/8")), nil, quiet)
	defer e.Close()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 9)
	}
	p := &partners{e: e, first: at(1)}
	if p.knows(at(1)) {
		t.Error("it knows somebody already")
	}
	if p.target(netip.AddrPort{}) != at(1) || !p.knows(at(1)) {
		t.Error("the target of the request")
	}
	for i := range 20000 {
		if p.target(at(2+i)) != at(2+i) {
			t.Fatal(i)
		}
		if i%1000 == 0 && !p.knows(at(1)) { // which has something to say
			t.Fatalf("forgotten after %d others", i)
		}
	}
	if n := len(p.young) + len(p.old); n > partnersMost {
		t.Errorf("%d partners", n)
	}
	if p.knows(at(2)) || !p.knows(at(20001)) {
		t.Error("the old are known, or the new are not")
	}
	if p.target(netip.MustParseAddrPort("192.0.2.1:9")).IsValid() {
		t.Error("an address outside of the policy")
	}
	cfg := e.Config()
	cfg.Policy = allow("10.0.0.1/32")
	e.Update(cfg)
	if p.knows(at(20001)) || !p.knows(at(1)) || p.target(at(20001)).IsValid() || p.target(at(1)) != at(1) {
		t.Error("a new policy is not kept to")
	}
}

func BenchmarkPartners(b *testing.B) {
	e := New(config(allow("10.0.0.0/8")), nil, quiet)
	defer e.Close()
	one, two := netip.MustParseAddrPort("10.0.0.1:9"), netip.MustParseAddrPort("10.0.0.2:9")
	b.Run("same", func(b *testing.B) {
		p := &partners{e: e, first: one}
		b.ReportAllocs()
		for b.Loop() {
			p.target(one)
			p.knows(one)
		}
	})
	b.Run("alternating", func(b *testing.B) {
		p := &partners{e: e, first: one}
		b.ReportAllocs()
		for b.Loop() {
			p.target(one)
			p.target(two)
			p.knows(one)
			p.knows(two)
		}
	})
}
