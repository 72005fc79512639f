// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/policy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// ownAddress is an address of this machine that is not special.
func ownAddress(t testing.TB) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if p, err := netip.ParsePrefix(n.String()); err == nil && !policy.Special(p.Addr()) && p.Addr().Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// TestTCP: what is reached, and what the status says of what is not.
func TestTCP(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	z, at := serveDNS(t)
	web := echo(t, "127.0.0.1:0")
	other := echo(t, "127.0.0.2:0")
	z.set("web.test", "127.0.0.1")
	z.set("mixed.test", "169.254.169.254", "::1", "fe80::1", "127.0.0.1")
	z.set("rebound.test", "127.0.0.2", "169.254.169.254", "10.1.2.3", "::ffff:127.0.0.2", "::1")
	z.set("empty.test")
	cfg := config(allow("127.0.0.1/32"), at)
	e := start(t, cfg, server)
	slow := silent(t)
	free := closedPort(t)
	for _, c := range []struct {
		req    session.Request
		status session.Status
	}{
		{to(web), session.OK},
		{host("127.0.0.1", web.Port()), session.OK},
		{host("web.test", web.Port()), session.OK},
		{host("WEB.test.", web.Port()), session.OK},
		{host("mixed.test", web.Port()), session.OK}, // by the address that is allowed
		{host("rebound.test", web.Port()), session.Denied},
		{to(other), session.Denied},
		{host("127.0.0.2", other.Port()), session.Denied},
		{host("::ffff:127.0.0.2", other.Port()), session.Denied},
		{to(netip.AddrPortFrom(netip.IPv4Unspecified(), web.Port())), session.Denied}, // the kernel takes it for the loopback interface
		{to(netip.AddrPortFrom(netip.IPv6Unspecified(), web.Port())), session.Denied},
		{host("0.0.0.0", web.Port()), session.Denied},
		{host("::", web.Port()), session.Denied},
		{to(netip.MustParseAddrPort("192.0.2.1:80")), session.Denied},
		{to(netip.AddrPortFrom(web.Addr(), free)), session.Refused},
		{to(slow), session.TimedOut},
		{host("missing.test", 80), session.NotFound},
		{host("empty.test", 80), session.NotFound},
		{host("silent.test", 80), session.TimedOut},
		{host("broken.test", 80), session.Failed},
		{session.Request{Port: 80}, session.BadRequest},
		{session.Request{Addr: web.Addr()}, session.BadRequest},
	} {
		cfg.DialTimeout = time.Minute
		if c.status == session.TimedOut {
			cfg.DialTimeout = 100 * time.Millisecond
		}
		e.Update(cfg)
		conn, err := open(t, client, c.req)
		if got := session.StatusOf(err); got != c.status {
			t.Errorf("%+v: %v, want %v", c.req, err, c.status)
		}
		if err == nil {
			works(t, conn)
		}
	}
}

// closedPort is a TCP port of 127.0.0.1 at which nobody listens.
func closedPort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// TestSelf: the addresses of the gateway are not part of the world.
func TestSelf(t *testing.T) {
	own := ownAddress(t)
	if !own.IsValid() {
		t.Skip("this machine has loopback addresses only")
	}
	client, server := proxytest.Pair(t, "exit")
	z, at := serveDNS(t)
	z.set("self.test", own.String())
	web := echo(t, netip.AddrPortFrom(own, 0).String())
	e := start(t, config(allow("0.0.0.0/0", "::/0"), at), server)
	for _, r := range []session.Request{to(web), host("self.test", web.Port()), host("::ffff:"+own.String(), web.Port())} {
		if _, err := open(t, client, r); session.StatusOf(err) != session.Denied {
			t.Errorf("%+v: %v", r, err)
		}
	}
	cfg := e.Config()
	cfg.Policy = allow("0.0.0.0/0", own.String()+"/32")
	e.Update(cfg)
	conn, err := open(t, client, to(web))
	if err != nil {
		t.Fatal(err)
	}
	works(t, conn)
}

// TestOwn: ranges of the gateway need a rule that names them.
func TestOwn(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	web := echo(t, "127.5.0.1:0")
	cfg := config(allow("127.0.0.0/8"))
	cfg.Own = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/64")}
	e := start(t, cfg, server)
	conn, err := open(t, client, to(web))
	if err != nil {
		t.Fatal(err)
	}
	works(t, conn)
	own := netip.MustParsePrefix("10.5.0.0/16")
	for _, c := range []struct {
		targets []string
		want    bool
	}{
		{[]string{"10.0.0.0/8"}, false},
		{[]string{"10.0.0.0/8", "10.5.0.0/16"}, true},
		{[]string{"10.5.7.7/32"}, true},
	} {
		cfg.Policy, cfg.Own = allow(c.targets...), []netip.Prefix{own}
		e.Update(cfg)
		r := session.Request{Proto: session.TCP, Port: 80}
		if got := e.allowed(policy.Peer{}, &r, netip.MustParseAddr("10.5.7.7")); got != c.want {
			t.Errorf("%v: %v", c.targets, got)
		}
	}
}

// TestRebinding: a name is looked up for each session, and its address checked
// each time.
func TestRebinding(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	z, at := serveDNS(t)
	web := echo(t, "127.0.0.1:0")
	start(t, config(allow("127.0.0.1/32"), at), server)
	for range 3 {
		z.set("host.test", "127.0.0.1")
		conn, err := open(t, client, host("host.test", web.Port()))
		if err != nil {
			t.Fatal(err)
		}
		works(t, conn)
		z.set("host.test", "127.0.0.2")
		if _, err := open(t, client, host("host.test", web.Port())); session.StatusOf(err) != session.Denied {
			t.Errorf("rebound: %v", err)
		}
	}
}

// TestHosts: rules for names; and nothing is looked up for those whom no rule
// could let.
func TestHosts(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	z, at := serveDNS(t)
	web := echo(t, "127.0.0.1:0")
	z.set("www.good.test", "127.0.0.1")
	z.set("evil.test", "127.0.0.1")
	p := allow("127.0.0.1/32")
	p.Allow[0].Hosts = []string{"*.good.test"}
	p.Allow[0].Ports = []route.PortRange{{First: web.Port(), Last: web.Port()}}
	start(t, config(p, at), server)
	conn, err := open(t, client, host("www.good.test", web.Port()))
	if err != nil {
		t.Fatal(err)
	}
	works(t, conn)
	asked := z.asked.Load()
	for _, r := range []session.Request{host("evil.test", web.Port()), host("www.good.test", web.Port()-1), to(web), host("127.0.0.1", web.Port())} {
		if _, err := open(t, client, r); session.StatusOf(err) != session.Denied {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if n := z.asked.Load(); n != asked {
		t.Errorf("%d queries for what is forbidden anyway", n-asked)
	}
}

// TestServers: a server that does not answer is left out.
func TestServers(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	z, at := serveDNS(t)
	web := echo(t, "127.0.0.1:0")
	z.set("web.test", "127.0.0.1")
	gone := newParty(t, "127.0.0.1:0")
	dead := gone.addr()
	gone.Close()
	start(t, config(allow("127.0.0.1/32"), dead, dead, at), server)
	for range 3 {
		// Two attempts for each question, that is, one for each server of the
		// system; by the third session the right one is found.
		conn, err := open(t, client, host("web.test", web.Port()))
		if err == nil {
			works(t, conn)
			return
		}
	}
	t.Error("the server that answers is not asked")
}

// TestNothing: without rules nothing is let out.
func TestNothing(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	web := echo(t, "127.0.0.1:0")
	e := start(t, config(policy.Policy{}), server)
	if _, err := open(t, client, to(web)); session.StatusOf(err) != session.Denied {
		t.Error(err)
	}
	if Defaults().Policy.Default {
		t.Error("the default lets everything out")
	}
	if s := e.Book().Snapshot(0); s.Refused != 1 || s.Total != 0 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
}

// TestFamilies: a host whose IPv6 address does not answer is reached by IPv4.
func TestFamilies(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	z, at := serveDNS(t)
	web := echo(t, "127.0.0.1:0")
	z.set("dual.test", "::1", "127.0.0.1") // at ::1 nobody listens
	e := start(t, config(allow("127.0.0.1/32", "::1/128"), at), server)
	conn, err := open(t, client, host("dual.test", web.Port()))
	if err != nil {
		t.Fatal(err)
	}
	works(t, conn)
	if s := e.Book().Snapshot(1).Sessions[0]; s.Target != net.JoinHostPort("dual.test", portText(web))+" (127.0.0.1)" {
		t.Errorf("the book has %q", s.Target)
	}
}

func portText(a netip.AddrPort) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// TestUpdate: sessions that are still allowed go on, others end.
func TestUpdate(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	one, two := echo(t, "127.0.0.1:0"), echo(t, "127.0.0.2:0")
	cfg := config(allow("127.0.0.0/8"))
	e := start(t, cfg, server)
	a, err := open(t, client, to(one))
	if err != nil {
		t.Fatal(err)
	}
	b, err := open(t, client, to(two))
	if err != nil {
		t.Fatal(err)
	}
	works(t, a)
	works(t, b)
	next := cfg
	next.Policy = allow("127.0.0.2/32")
	next.Service, next.Servers = "other", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	if keys := e.Update(next); !slices.Equal(keys, []string{"service", "servers"}) {
		t.Errorf("restart for %v", keys)
	}
	over(t, a)
	works(t, b)
	if _, err := open(t, client, to(one)); session.StatusOf(err) != session.Denied {
		t.Errorf("%v", err)
	}
	if c := e.Config(); c.Service != "exit" || c.Servers != nil {
		t.Errorf("%+v", c)
	}
}

// TestManyStarts: a hundred starts and stops leave nothing (goleak), and the
// name is free each time.
func TestManyStarts(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	web := echo(t, "127.0.0.1:0")
	for i := range 100 {
		e := New(config(allow("127.0.0.1/32")), server, quiet)
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(i, err)
		}
		conn, err := open(t, client, to(web))
		if err != nil {
			t.Fatal(i, err)
		}
		if i%2 == 0 {
			works(t, conn)
			conn.Close()
		}
		e.Close()
	}
}

// TestLife: Drain leaves sessions alone, Close does not, even those that still
// dial.
func TestLife(t *testing.T) {
	client, server := proxytest.Pair(t, "exit")
	web, slow := echo(t, "127.0.0.1:0"), silent(t)
	New(config(allow("127.0.0.0/8")), server, quiet).Close() // never started
	e := start(t, config(allow("127.0.0.0/8")), server)
	conn, err := open(t, client, to(web))
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan error, 1)
	go func() {
		_, err := open(t, client, to(slow))
		dialled <- err
	}()
	time.Sleep(20 * time.Millisecond) // it may dial now, or not
	e.Drain()
	works(t, conn)
	if _, err := open(t, client, to(web)); !proxy.NobodyServes(err) {
		t.Errorf("while it drains: %v", err)
	}
	e.Close()
	e.Close()
	over(t, conn)
	if err := <-dialled; err == nil {
		t.Error("a session with nobody")
	}
}
