// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"o7gw/o7s/bubble"
)

const (
	web4 = "198.18.211.236"
	web6 = "fd61:19fe:dbd5:0:39b:3d1e:1392:9298"
)

func TestAnswers(t *testing.T) {
	s := serve(t, having("web", "a.b"), nil)
	web, _ := dns.ReverseAddr(web4)
	web6r, _ := dns.ReverseAddr(web6)
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name string
			typ  uint16
			want string
		}{
			{"web.o7s.", dns.TypeA, "NOERROR web.o7s. 60 IN A " + web4},
			{"web.o7s.", dns.TypeAAAA, "NOERROR web.o7s. 60 IN AAAA " + web6},
			{"wEb.O7s.", dns.TypeA, "NOERROR wEb.O7s. 60 IN A " + web4},
			{"a.b.o7s.", dns.TypeA, "NOERROR a.b.o7s. 60 IN A 198.19.244.114"},
			{"web.o7s.", dns.TypeHTTPS, "NOERROR (o7s. SOA)"},
			{"web.o7s.", dns.TypeSVCB, "NOERROR (o7s. SOA)"},
			{"web.o7s.", dns.TypeTXT, "NOERROR (o7s. SOA)"},
			{"web.o7s.", dns.TypeMX, "NOERROR (o7s. SOA)"},
			{"web.o7s.", dns.TypeNS, "NOERROR (o7s. SOA)"},
			{"web.o7s.", dns.TypeSOA, "NOERROR (o7s. SOA)"},
			{"web.o7s.", dns.TypeANY, `NOERROR web.o7s. 60 IN HINFO "RFC8482" ""`},
			{"b.o7s.", dns.TypeA, "NOERROR (o7s. SOA)"}, // a.b is below it
			{"none.o7s.", dns.TypeA, "NXDOMAIN (o7s. SOA)"},
			{"NONE.o7S.", dns.TypeHTTPS, "NXDOMAIN (o7S. SOA)"},
			{"none.o7s.", dns.TypeANY, "NXDOMAIN (o7s. SOA)"},
			{`a\.b.o7s.`, dns.TypeA, "NXDOMAIN (o7s. SOA)"},
			{`we\ b.o7s.`, dns.TypeA, "NXDOMAIN (o7s. SOA)"},
			{"o7s.", dns.TypeSOA, "NOERROR o7s. 3 IN SOA o7s. nobody.invalid. 1 3600 1200 604800 3"},
			{"o7s.", dns.TypeNS, "NOERROR o7s. 60 IN NS o7s."},
			{"o7s.", dns.TypeA, "NOERROR o7s. 60 IN A 198.18.0.1"},
			{"o7s.", dns.TypeAAAA, "NOERROR o7s. 60 IN AAAA fd61:19fe:dbd5::1"},
			{"o7s.", dns.TypeHTTPS, "NOERROR (o7s. SOA)"},
			{"web.o7s.", dns.TypeAXFR, "REFUSED"},
			{"o7s.", dns.TypeIXFR, "REFUSED"},
			{"web.o7s.", dns.TypeMAILB, "NOTIMP"},
			{"web.o7s.", dns.TypeTKEY, "NOTIMP"},
			{web, dns.TypePTR, "NOERROR " + web + " 60 IN PTR web.o7s."},
			{strings.ToUpper(web6r), dns.TypePTR, "NOERROR " + strings.ToUpper(web6r) + " 60 IN PTR web.o7s."},
			{web, dns.TypeA, "NOERROR (18.198.in-addr.arpa. SOA)"},
			{"x." + web, dns.TypePTR, "NXDOMAIN (18.198.in-addr.arpa. SOA)"},
			{"1.0.18.198.in-addr.arpa.", dns.TypePTR, "NOERROR 1.0.18.198.in-addr.arpa. 60 IN PTR o7s."},
			{"9.9.19.198.in-addr.arpa.", dns.TypePTR, "NXDOMAIN (19.198.in-addr.arpa. SOA)"},
			{"9.19.198.in-addr.arpa.", dns.TypePTR, "NOERROR (19.198.in-addr.arpa. SOA)"},
			{"19.198.in-addr.arpa.", dns.TypeSOA, "NOERROR 19.198.in-addr.arpa. 3 IN SOA o7s. nobody.invalid. 1 3600 1200 604800 3"},
			{"19.198.in-addr.arpa.", dns.TypeNS, "NOERROR 19.198.in-addr.arpa. 60 IN NS o7s."},
			{"9.9.20.198.in-addr.arpa.", dns.TypePTR, "REFUSED"},
			{"198.in-addr.arpa.", dns.TypeSOA, "REFUSED"},
			{"example.org.", dns.TypeA, "REFUSED"},
			{`web\.o7s.`, dns.TypeA, "REFUSED"},
			{".", dns.TypeNS, "REFUSED"},
			{"use-application-dns.net.", dns.TypeA, "NOERROR (use-application-dns.net. SOA)"},
			{"_dns.resolver.arpa.", dns.TypeSVCB, "NOERROR (resolver.arpa. SOA)"},
		} {
			m := ask(t, s, network, c.name, c.typ)
			if got := short(m); got != c.want {
				t.Errorf("%s %s over %s:\n got %s\nwant %s", c.name, dns.TypeToString[c.typ], network, got, c.want)
			}
			if m.Question[0].Name != c.name || !m.RecursionDesired || m.RecursionAvailable || m.IsEdns0() != nil {
				t.Errorf("%s %s: header or question %+v %v", c.name, dns.TypeToString[c.typ], m.MsgHdr, m.Question)
			}
			if m.Authoritative != (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError) {
				t.Errorf("%s %s: authoritative %v", c.name, dns.TypeToString[c.typ], m.Authoritative)
			}
			for _, rr := range m.Ns { // RFC 2308 §5
				if soa := rr.(*dns.SOA); soa.Hdr.Ttl != soa.Minttl || soa.Hdr.Ttl > 5 {
					t.Errorf("%s: %v is believed for too long, or not for what it says", c.name, soa)
				}
			}
		}
	}
	if st := s.Stats(); st.Names != 2 || st.Queries == 0 || st.Answered == 0 || st.NXDomain == 0 || st.NoData == 0 || st.Refused == 0 || st.Failed != 0 {
		t.Errorf("stats %+v: names asked for with other types take addresses, or counters do not count", st)
	}
}

func TestClasses(t *testing.T) {
	s := serve(t, nil, nil)
	for _, class := range []uint16{dns.ClassCHAOS, dns.ClassANY, dns.ClassNONE} {
		m := new(dns.Msg)
		m.SetQuestion("version.bind.", dns.TypeTXT)
		m.Question[0].Qclass = class
		if r := exchange(t, s, "udp", m); r.Rcode != dns.RcodeRefused {
			t.Errorf("class %d: %s", class, short(r))
		}
	}
}

func TestOneFamily(t *testing.T) {
	s := serve(t, nil, func(c *Config) { c.V6 = netip.Prefix{} })
	for typ, want := range map[uint16]string{
		dns.TypeA:    "NOERROR web.o7s. 60 IN A " + web4,
		dns.TypeAAAA: "NOERROR (o7s. SOA)",
	} {
		if got := short(ask(t, s, "udp", "web.o7s.", typ)); got != want {
			t.Errorf("%s: %s, want %s", dns.TypeToString[typ], got, want)
		}
	}
}

func TestEDNS(t *testing.T) {
	s := serve(t, nil, nil)
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	m.SetEdns0(4096, true)
	r := exchange(t, s, "udp", m)
	if o := r.IsEdns0(); o == nil || o.UDPSize() != udpMost || !o.Do() || o.Version() != 0 || len(r.Extra) != 1 || len(r.Answer) != 1 {
		t.Errorf("answer %v", r)
	}
	m.IsEdns0().SetVersion(1)
	if r := exchange(t, s, "udp", m); r.Rcode != dns.RcodeBadVers || r.IsEdns0() == nil || r.IsEdns0().Version() != 0 {
		t.Errorf("version 1: %v", r)
	}
	m.IsEdns0().SetVersion(0)
	m.Extra = append(m.Extra, m.Extra[0])
	if r := exchange(t, s, "udp", m); r.Rcode != dns.RcodeFormatError {
		t.Errorf("two OPT records: %v", r)
	}
	// Why a query is refused stands in the answer, if the client can read it.
	m = new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeA)
	m.SetEdns0(1232, false)
	r = exchange(t, s, "udp", m)
	if o := r.IsEdns0(); r.Rcode != dns.RcodeRefused || o == nil || len(o.Option) != 1 || o.Option[0].(*dns.EDNS0_EDE).InfoCode != dns.ExtendedErrorCodeNotAuthoritative {
		t.Errorf("another zone: %v", r)
	}
}

// raw sends bytes over UDP and returns what comes; nil for nothing that comes
// before the answer to a query sent right after.
func raw(t *testing.T, s *Server, b []byte) []byte {
	t.Helper()
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	m.SetQuestion("o7s.", dns.TypeSOA)
	m.Id = 0x5afe
	end, _ := m.Pack()
	if _, err := c.Write(end); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65535)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if binary.BigEndian.Uint16(buf) == m.Id {
		return nil
	}
	return buf[:n]
}

func TestMalformed(t *testing.T) {
	s := serve(t, nil, nil)
	query := new(dns.Msg)
	query.SetQuestion("web.o7s.", dns.TypeA)
	query.Id = 0x1234
	good, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, b byte) []byte {
		out := slices.Clone(good)
		out[at] = b
		return out
	}
	for _, c := range []struct {
		what  string
		raw   []byte
		rcode int // -1: silence
	}{
		{"nothing", nil, -1},
		{"half a header", good[:11], -1},
		{"an answer", change(2, 0x81), -1},
		{"an answer of another opcode", change(2, 0xa9), -1},
		{"a header only", good[:12], dns.RcodeFormatError},
		{"no question", change(5, 0), dns.RcodeFormatError},
		{"two questions", change(5, 2), dns.RcodeFormatError},
		{"256 questions", change(4, 1), dns.RcodeFormatError},
		{"half a question", good[:len(good)-1], dns.RcodeFormatError},
		{"a name that points to itself", append(slices.Clone(good[:12]), 0xc0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
		{"an answer that is not there", change(7, 1), dns.RcodeSuccess},
		{"NOTIFY", change(2, dns.OpcodeNotify<<3), dns.RcodeNotImplemented},
		{"UPDATE", change(2, dns.OpcodeUpdate<<3), dns.RcodeNotImplemented},
		{"too long", append(slices.Clone(good), make([]byte, queryMost)...), dns.RcodeFormatError},
	} {
		got := raw(t, s, c.raw)
		if (got == nil) != (c.rcode < 0) || got != nil && (got[0] != 0x12 || got[1] != 0x34 || got[2]&0x80 == 0 || int(got[3]&0xf) != c.rcode) {
			t.Errorf("%s: % x, want code %d", c.what, got, c.rcode)
		}
		if len(got) > len(c.raw)+64 {
			t.Errorf("%s: %d bytes for %d", c.what, len(got), len(c.raw))
		}
	}
	if st := s.Stats(); st.Malformed < 10 {
		t.Errorf("%d malformed", st.Malformed)
	}
}

func TestMalformedStream(t *testing.T) {
	s := serve(t, nil, nil)
	for _, b := range [][]byte{{0xff, 0xff}, {0, 0}, {0, 5, 1, 2, 3, 4, 5}} {
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write(b)
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("% x: %d bytes, %v; want the end", b, n, err)
		}
		c.Close()
	}
}

// Queries of one connection that wait do not hold up those after them.
func TestPipeline(t *testing.T) {
	l := having("slow", "fast")
	l.gate = make(chan struct{})
	s := serve(t, l, nil)
	c, err := dns.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	for id, name := range []string{"slow.o7s.", "o7s."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		m.Id = uint16(id)
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []uint16{1, 0} {
		m, err := c.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if m.Id != id || m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
			t.Errorf("answer %v, want number %d", m, id)
		}
		if id == 1 {
			close(l.gate)
		}
	}
}

func TestUnknown(t *testing.T) {
	l := having("web")
	s := serve(t, l, nil)
	web, err := netip.ParseAddr(web4)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, s, "udp", "web.o7s.", dns.TypeA)
	l.set(func() { l.broken = true })
	if got := short(ask(t, s, "udp", "mail.o7s.", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("the directory is silent: %s", got)
	}
	s.census.forget("web")
	if got := short(ask(t, s, "udp", "web.o7s.", dns.TypeA)); !strings.HasSuffix(got, " "+web4) {
		t.Errorf("a name that existed just now: %s", got)
	}
	if _, ok := s.pool.Lookup(web); !ok || s.pool.Len() != 1 {
		t.Errorf("names %v", s.pool.Names(9))
	}
	if st := s.Stats(); st.Unknown != 1 || st.Failed != 1 {
		t.Errorf("stats %+v", st)
	}
}

// forget is for tests: the next query asks again.
func (c *census) forget(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beliefs[service].until = time.Time{}
}

func TestCensus(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := having("web", "x.y.z")
		c := newCensus(l.known)
		is := func(service string, want bool, asked int) {
			t.Helper()
			got, err := c.ask(t.Context(), service)
			if got != want || err != nil || l.times(service) != asked {
				t.Errorf("%s: %v %v, asked %d times; want %v, %d", service, got, err, l.times(service), want, asked)
			}
		}
		is("web", true, 1)
		is("web", true, 1)
		is("none", false, 1)
		l.set(func() { l.exist["none"] = true })
		is("none", false, 1)
		time.Sleep(missingFor)
		is("none", true, 2)
		l.set(func() { l.exist["web"] = false })
		is("web", true, 1)
		time.Sleep(existsFor)
		is("web", false, 2)

		is("x.y.z", true, 1)
		if !c.above("y.z") || !c.above("z") || c.above("x.y.z") || c.above("y") {
			t.Error("y.z and z, and nothing else, are above x.y.z")
		}
		l.set(func() { l.exist["x.y.z"] = false })
		time.Sleep(existsFor)
		is("x.y.z", false, 2)
		if c.above("y.z") || c.above("z") || len(c.below) != 0 {
			t.Errorf("above what has gone: %v", c.below)
		}

		l.set(func() { l.broken = true })
		for _, pause := range []time.Duration{0, unknownFor} {
			time.Sleep(pause)
			if _, err := c.ask(t.Context(), "lost"); err == nil {
				t.Error("no error without an answer")
			}
		}
		if _, err := c.ask(t.Context(), "lost"); err == nil || l.times("lost") != 2 {
			t.Errorf("error %v, asked %d times in a second", err, l.times("lost"))
		}

		// Many ask at once, one asks the layers; its time is bounded.
		l.set(func() { l.broken, l.gate = false, make(chan struct{}) })
		start := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := c.ask(t.Context(), "late"); err == nil {
					t.Error("no error without an answer")
				}
			})
		}
		wg.Wait()
		if l.times("late") != 1 || time.Since(start) != askLimit {
			t.Errorf("asked %d times, for %v", l.times("late"), time.Since(start))
		}
	})
}

func TestCensusIsBounded(t *testing.T) {
	c := newCensus(func(context.Context, string) (bool, error) { return true, nil })
	for i := range beliefsMost + 1000 {
		c.ask(t.Context(), fmt.Sprintf("a.b%d", i))
	}
	if len(c.beliefs) != beliefsMost || c.order.Len() != beliefsMost || len(c.below) != beliefsMost {
		t.Errorf("%d beliefs in a list of %d, %d names above", len(c.beliefs), c.order.Len(), len(c.below))
	}
}

func TestUpdate(t *testing.T) {
	s := serve(t, having("web"), nil)
	cfg := s.Config()
	cfg.TTL, cfg.Check = 7*time.Second, false
	cfg.Upstream = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), s.Addrs()[0]}
	if keys := s.Update(cfg); len(keys) != 0 || !reflect.DeepEqual(s.Config(), cfg) {
		t.Errorf("restart for %v; configuration %+v", keys, s.Config())
	}
	if got := short(ask(t, s, "udp", "none.o7s.", dns.TypeA)); !strings.HasPrefix(got, "NOERROR none.o7s. 7 IN A 198.") {
		t.Errorf("with TTL 7, unchecked: %s", got)
	}
	if got := s.relay.addrs(); len(got) != 1 || got[0] != cfg.Upstream[0] {
		t.Errorf("upstream servers %v: one is this server", got)
	}
	old := cfg
	cfg.Zone, cfg.Max, cfg.V4, cfg.V6, cfg.Listen = "x", 1, netip.Prefix{}, netip.Prefix{}, nil
	if keys := s.Update(cfg); !slices.Equal(keys, []string{"zone", "listen", "v4", "v6", "max"}) || !reflect.DeepEqual(s.Config(), old) {
		t.Errorf("restart for %v; configuration %+v", keys, s.Config())
	}
	s = serve(t, nil, func(c *Config) { c.Check = false })
	cfg = s.Config()
	cfg.Check = true
	if keys := s.Update(cfg); !slices.Equal(keys, []string{"check"}) || s.Config().Check {
		t.Errorf("restart for %v: it has nobody to ask", keys)
	}
}

// Answers come from the address that was asked, of a server on all of them.
func TestWildcard(t *testing.T) {
	s := serve(t, nil, func(c *Config) {
		c.Listen = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("[::]:0")}
	})
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	for i, addr := range []string{"127.0.0.7", "::1"} {
		for _, network := range []string{"udp", "tcp"} {
			c := dns.Client{Net: network, Timeout: 10 * time.Second} // connected: takes answers of that address only
			r, _, err := c.Exchange(m, netip.AddrPortFrom(netip.MustParseAddr(addr), s.Addrs()[i].Port()).String())
			if err != nil || len(r.Answer) != 1 {
				t.Errorf("%s over %s: %v, %v", addr, network, r, err)
			}
		}
	}
	cfg := s.Config()
	cfg.Upstream = []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.3.3.3"), s.Addrs()[0].Port()), netip.AddrPortFrom(netip.IPv6Loopback(), s.Addrs()[1].Port())}
	if s.Update(cfg); len(s.relay.servers()) != 0 {
		t.Errorf("upstream servers %v: each is this server", s.relay.addrs())
	}
}

func TestStartFails(t *testing.T) {
	s := serve(t, nil, nil)
	second := New(Config{Listen: []netip.AddrPort{loopback, s.Addrs()[0]}, Zone: "o7s"}, s.pool, nil, nil, quiet)
	err := second.Start(t.Context())
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another DNS server") {
		t.Errorf("error %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestDrain(t *testing.T) {
	l := having("web")
	l.gate = make(chan struct{})
	s := serve(t, l, nil)
	answers := make(chan string, 2)
	for _, network := range []string{"udp", "tcp"} {
		go func() {
			m := new(dns.Msg)
			m.SetQuestion("web.o7s.", dns.TypeA)
			c := dns.Client{Net: network, Timeout: 10 * time.Second}
			r, _, err := c.Exchange(m, s.Addrs()[0].String())
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- short(r)
		}()
	}
	eventually(t, func() bool { return waits(s) == 2 })
	s.Drain()
	if got := short(ask(t, s, "udp", "web.o7s.", dns.TypeA)); got != "REFUSED" {
		t.Errorf("while draining: %s", got)
	}
	if c, err := net.Dial("tcp", s.Addrs()[0].String()); err == nil {
		c.Close()
		t.Error("connected while draining")
	}
	close(l.gate)
	for range 2 {
		if got := <-answers; !strings.HasSuffix(got, web4) {
			t.Errorf("a query from before: %s", got)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// eventually waits for a condition; it fails the test after a long time.
func eventually(t testing.TB, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came")
		}
	}
}

// Whatever is under way, Close ends it.
func TestCloseWhileWaiting(t *testing.T) {
	for range 100 {
		l := having("web")
		l.gate = make(chan struct{})
		s := serve(t, l, nil)
		c, err := dns.Dial("udp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		m.SetQuestion("web.o7s.", dns.TypeA)
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		idle, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return l.times("web") == 1 })
		s.Close()
		c.Close()
		idle.Close()
	}
}

func TestAnswerOfOthers(t *testing.T) {
	s := serve(t, nil, func(c *Config) { c.Listen = nil })
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	query, _ := m.Pack()
	for _, tcp := range []bool{false, true} {
		out := s.Answer(t.Context(), query, netip.MustParseAddrPort("198.18.0.2:5353"), tcp)
		r := new(dns.Msg)
		if err := r.Unpack(out); err != nil || !strings.HasSuffix(short(r), web4) {
			t.Errorf("%v, %v", r, err)
		}
	}
	if out := s.Answer(t.Context(), query, netip.MustParseAddrPort("198.18.0.2:0"), false); out != nil {
		t.Errorf("an answer to port 0: % x", out)
	}
}
