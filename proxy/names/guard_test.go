// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestClientOf(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1":         "192.0.2.1",
		"::ffff:192.0.2.1":  "192.0.2.1",
		"2001:db8:1:2::3":   "2001:db8:1:2::",
		"2001:db8:1:2:ff::": "2001:db8:1:2::",
		"fe80::1%eth0":      "fe80::1%eth0",
		"::1":               "::1",
	} {
		if got := clientOf(netip.MustParseAddr(from)); got.String() != want {
			t.Errorf("%s is %v, want %s", from, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	l := defaultLimits()
	l.rate, l.burst, l.remembered = 10, 5, 3
	g := newGuard(l)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Unix(0, 0)
	var got [3]int
	for range 9 {
		got[g.admit(a, now)]++
	}
	if got != [3]int{answer: 5, silence: 2, truncate: 2} {
		t.Errorf("answers, silence, truncated: %v", got)
	}
	if g.admit(b, now) != answer {
		t.Error("another client has to wait")
	}
	now = now.Add(100 * time.Millisecond)
	if g.admit(a, now) != answer || g.admit(a, now) == answer {
		t.Error("one query after a tenth of a second")
	}
	for i := range 100 {
		g.admit(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), now)
	}
	if len(g.clients) != 3 || g.order.Len() != 3 {
		t.Errorf("%d clients are remembered", len(g.clients))
	}
}

func TestWaiting(t *testing.T) {
	l := defaultLimits()
	l.waiting, l.allWait, l.conns, l.allConns, l.remembered = 2, 3, 2, 3, 2
	now := time.Now()
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	g := newGuard(l)
	for _, kind := range []struct {
		enter func(netip.Addr, time.Time) *client
		leave func(*client)
	}{{g.wait, g.leave}, {g.connect, g.disconnect}} {
		first, second := kind.enter(a, now), kind.enter(a, now)
		if first == nil || second == nil || kind.enter(a, now) != nil {
			t.Error("a client has two")
		}
		third := kind.enter(b, now)
		if third == nil || kind.enter(b, now) != nil || kind.enter(c, now) != nil {
			t.Error("all have three")
		}
		kind.leave(first) // forgotten meanwhile, as c was remembered
		fourth := kind.enter(c, now)
		if fourth == nil {
			t.Error("one has left")
		}
		for _, x := range []*client{second, third, fourth} {
			kind.leave(x)
		}
	}
	if g.waits != 0 || g.open != 0 {
		t.Errorf("%d wait, %d are open", g.waits, g.open)
	}
}

// A client above its rate: silence or "ask over TCP" by UDP, REFUSED by TCP.
func TestFlood(t *testing.T) {
	s := serve(t, nil, nil)
	limit(s, func(l *limits) { l.rate, l.burst = 0, 3 })
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	query, _ := m.Pack()
	from := netip.MustParseAddrPort("192.0.2.1:5353")
	for i, want := range []string{"answer", "answer", "answer", "", "TC", "", "TC"} {
		out, r := s.Answer(t.Context(), query, from, false), new(dns.Msg)
		got := ""
		if out != nil {
			if err := r.Unpack(out); err != nil {
				t.Fatal(err)
			}
			if got = "answer"; r.Truncated && len(r.Answer) == 0 && len(out) == len(query) {
				got = "TC"
			}
		}
		if got != want {
			t.Errorf("query %d: %q, want %q", i, got, want)
		}
	}
	out, r := s.Answer(t.Context(), query, from, true), new(dns.Msg)
	if err := r.Unpack(out); err != nil || r.Rcode != dns.RcodeRefused || r.Id != m.Id {
		t.Errorf("TCP: %v, %v", r, err)
	}
	if st := s.Stats(); st.Limited != 5 || st.Queries != 3 {
		t.Errorf("stats %+v", st)
	}
}

// A client with queries in the layers that do not return: it has no more than
// its share, and others are served.
func TestHangingLayers(t *testing.T) {
	l := having("web")
	l.gate = make(chan struct{})
	s := serve(t, l, nil)
	limit(s, func(l *limits) { l.waiting, l.allWait = 8, 12 })
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 100 {
		m := new(dns.Msg)
		m.SetQuestion(fmt.Sprintf("x%d.o7s.", i), dns.TypeA)
		query, _ := m.Pack()
		c.Write(query)
	}
	eventually(t, func() bool { return s.Stats().Limited == 92 })
	if got := short(ask(t, s, "udp", "o7s.", dns.TypeNS)); got != "NOERROR o7s. 60 IN NS o7s." {
		t.Errorf("what needs no layer: %s", got)
	}
	if got := short(ask(t, s, "tcp", "web.o7s.", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("the same client over TCP: %s", got)
	}
	other := make(chan string)
	go func() {
		m := new(dns.Msg)
		m.SetQuestion("web.o7s.", dns.TypeA)
		d := dns.Client{Timeout: 10 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9)}}}
		r, _, err := d.Exchange(m, s.Addrs()[0].String())
		if err != nil {
			other <- err.Error()
			return
		}
		other <- short(r)
	}()
	eventually(t, func() bool { return l.times("web") == 1 })
	close(l.gate)
	if got := <-other; got != "NOERROR web.o7s. 60 IN A "+web4 {
		t.Errorf("another client: %s", got)
	}
}

// One client opens connections and says nothing.
func TestIdleConnections(t *testing.T) {
	s := serve(t, nil, nil)
	limit(s, func(l *limits) { l.conns = 10 })
	for range 30 {
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	eventually(t, func() bool { return s.Stats().Limited == 20 })
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	d := dns.Client{Net: "tcp", Timeout: 10 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}}
	if r, _, err := d.Exchange(m, s.Addrs()[0].String()); err != nil || len(r.Answer) != 1 {
		t.Errorf("another client: %v, %v", r, err)
	}
}

// 10 000 names asked by one client: all are answered, the memory for them is
// bounded, and a name in use keeps its address.
func TestManyNames(t *testing.T) {
	s := serve(t, nil, func(c *Config) { c.Max = 12000 })
	limit(s, func(l *limits) { l.rate = 1e9 })
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	query, _ := m.Pack()
	s.Answer(t.Context(), query, netip.MustParseAddrPort("127.0.0.9:99"), false)
	c, err := dns.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	codes := map[int]int{}
	for i := range 10000 {
		m.SetQuestion(fmt.Sprintf("n%d.o7s.", i), dns.TypeA)
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		r, err := c.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		codes[r.Rcode]++
	}
	if codes[dns.RcodeSuccess] != 6000 || codes[dns.RcodeServerFailure] != 4000 || s.pool.Len() != 6001 {
		t.Errorf("answers by code %v, %d names have addresses", codes, s.pool.Len())
	}
	if name, ok := s.pool.Lookup(netip.MustParseAddr(web4)); !ok || name != "web" {
		t.Errorf("%s is %q", web4, name)
	}
	if got := short(ask(t, s, "udp", "n77.o7s.", dns.TypeHTTPS)); got != "NOERROR (o7s. SOA)" {
		t.Errorf("afterwards: %s", got)
	}
}
