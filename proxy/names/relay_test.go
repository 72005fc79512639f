// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"o7gw/o7s/bubble"
)

// record makes records from text.
func record(text ...string) (list []dns.RR) {
	for _, s := range text {
		rr, err := dns.NewRR(s)
		if err != nil {
			panic(err)
		}
		list = append(list, rr)
	}
	return list
}

// relaying starts a server with upstream servers, which have much time.
func relaying(t testing.TB, upstream ...netip.AddrPort) *Server {
	return patient(t, []time.Duration{10 * time.Second}, upstream...)
}

func patient(t testing.TB, tries []time.Duration, upstream ...netip.AddrPort) *Server {
	return serve(t, nil, func(c *Config) { c.Upstream = upstream }, func(s *Server) {
		s.relay.patience = patience{tries, 10 * time.Second}
	})
}

// outside answers everything with one address.
func outside(w dns.ResponseWriter, m *dns.Msg) {
	r := new(dns.Msg)
	r.SetReply(m)
	r.RecursionAvailable = true
	r.Answer = record(m.Question[0].Name + " 300 IN A 192.0.2.80")
	w.WriteMsg(r)
}

func TestRelay(t *testing.T) {
	var got atomic.Pointer[dns.Msg]
	s := relaying(t, upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		got.Store(m)
		r := new(dns.Msg)
		r.SetReply(m)
		switch m.Question[0].Name {
		case "wWw.example.org.":
			r.Answer = record("wWw.example.org. 300 IN CNAME web.example.org.", "web.example.org. 60 IN A 192.0.2.80")
			r.AuthenticatedData = true
			r.SetEdns0(4096, true)
		default:
			r.Rcode = dns.RcodeNameError
			r.Ns = record("org. 60 IN SOA a. b. 1 2 3 4 5")
		}
		w.WriteMsg(r)
	}))
	for _, network := range []string{"udp", "tcp"} {
		m := new(dns.Msg)
		m.SetQuestion("wWw.example.org.", dns.TypeA)
		m.SetEdns0(1400, false)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(192, 0, 2, 0)})
		r := exchange(t, s, network, m)
		if want := "NOERROR wWw.example.org. 300 IN CNAME web.example.org. web.example.org. 60 IN A 192.0.2.80"; short(r) != want {
			t.Errorf("answer %s, want %s", short(r), want)
		}
		if r.Authoritative || !r.RecursionAvailable || r.AuthenticatedData || r.Question[0] != m.Question[0] || len(r.Extra) != 1 || r.IsEdns0().UDPSize() != udpMost {
			t.Errorf("answer %v", r)
		}
		if q := got.Load(); q.Id == m.Id && network == "udp" || !q.RecursionDesired || q.IsEdns0() == nil || len(q.IsEdns0().Option) != 0 || q.IsEdns0().UDPSize() != udpMost {
			t.Errorf("asked upstream %v: what the client wrote is its own affair", q)
		}
	}
	if got := short(ask(t, s, "udp", "none.example.org.", dns.TypeAAAA)); got != "NXDOMAIN (org. SOA)" {
		t.Errorf("answer %s", got)
	}
	// The zone, the reverse zones and the canaries stay here.
	got.Store(nil)
	for _, name := range []string{"web.o7s.", `a\.b.o7s.`, "1.1.18.198.in-addr.arpa.", canary, "_dns." + designated} {
		ask(t, s, "udp", name, dns.TypePTR)
	}
	if q := got.Load(); q != nil {
		t.Errorf("asked upstream %v", q.Question)
	}
}

// An answer that does not fit goes over TCP, on both sides.
func TestRelayLarge(t *testing.T) {
	var tcp atomic.Int32
	s := relaying(t, upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(m)
		for range 30 {
			r.Answer = append(r.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{strings.Repeat("x", 200)}})
		}
		if w.LocalAddr().Network() == "udp" {
			r.Truncate(dns.MinMsgSize)
		} else {
			tcp.Add(1)
		}
		w.WriteMsg(r)
	}))
	m := new(dns.Msg)
	m.SetQuestion("big.example.", dns.TypeTXT)
	if r := exchange(t, s, "udp", m); !r.Truncated || r.Len() > dns.MinMsgSize {
		t.Errorf("UDP: %d bytes, truncated %v", r.Len(), r.Truncated)
	}
	m.SetEdns0(65535, false)
	if r := exchange(t, s, "udp", m); !r.Truncated || r.Len() > udpMost || len(r.Answer) == 0 {
		t.Errorf("UDP with EDNS: %d bytes, truncated %v", r.Len(), r.Truncated)
	}
	if r := exchange(t, s, "tcp", m); r.Truncated || len(r.Answer) != 30 || tcp.Load() != 3 {
		t.Errorf("TCP: %d records, truncated %v, %d queries over TCP", len(r.Answer), r.Truncated, tcp.Load())
	}
}

// A server that is not there, one that refuses, one that knows: the last counts,
// and a server that failed is asked after the others for a while.
func TestRelayFailOver(t *testing.T) {
	deadAddr := netip.MustParseAddrPort("127.88.99.1:9")
	refusing := upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		w.WriteMsg(r.SetRcode(m, dns.RcodeRefused))
	})
	s := relaying(t, deadAddr, refusing, upstreamServer(t, outside))
	if got := short(ask(t, s, "udp", "example.org.", dns.TypeA)); got != "NOERROR example.org. 300 IN A 192.0.2.80" {
		t.Errorf("answer %s", got)
	}
	if s.relay.servers()[0].bad.Load() == 0 {
		t.Error("a server that is not there is asked first again")
	}
	cfg := s.Config()
	cfg.Upstream = []netip.AddrPort{deadAddr, refusing}
	s.Update(cfg)
	if got := short(ask(t, s, "udp", "example.org.", dns.TypeA)); got != "REFUSED" {
		t.Errorf("answer %s, want that of the server that is there", got)
	}
	cfg.Upstream = cfg.Upstream[:1]
	s.Update(cfg)
	for range 3 {
		if got := short(ask(t, s, "udp", "example.org.", dns.TypeA)); got != "SERVFAIL" {
			t.Errorf("answer %s", got)
		}
	}
	if st := s.Stats(); st.Relayed != 2 || st.Unreached != 3 {
		t.Errorf("stats %+v", st)
	}
}

// A question that failed is not asked again at once; what is remembered of
// failures is bounded.
func TestRelayFailures(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRelay(nil, func(netip.Addr) bool { return false }, &counters{}, quiet)
		find := func(name string) error {
			_, err := r.find(t.Context(), &query{name: name, typ: dns.TypeA})
			return err
		}
		if err := find("a."); err != errNone {
			t.Fatal(err)
		}
		land := r.flights[question{name: "a.", typ: dns.TypeA}]
		if find("a."); r.flights[question{name: "a.", typ: dns.TypeA}] != land {
			t.Error("asked again at once")
		}
		for i := range 2 * failuresMost {
			find(fmt.Sprint(i, "."))
		}
		if len(r.flights) != failuresMost || len(r.failures) != failuresMost {
			t.Errorf("%d flights, %d failures", len(r.flights), len(r.failures))
		}
		time.Sleep(failedFor)
		if find("a."); len(r.flights) != 1 || len(r.failures) != 1 || r.flights[question{name: "a.", typ: dns.TypeA}] == land {
			t.Errorf("%d flights, %d failures after their time", len(r.flights), len(r.failures))
		}
	})
}

// A server of the old days does not know EDNS.
func TestRelayWithoutEDNS(t *testing.T) {
	s := relaying(t, upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if m.IsEdns0() != nil {
			w.WriteMsg(new(dns.Msg).SetRcodeFormatError(m))
			return
		}
		outside(w, m)
	}))
	if got := short(ask(t, s, "udp", "example.org.", dns.TypeA)); got != "NOERROR example.org. 300 IN A 192.0.2.80" {
		t.Errorf("answer %s", got)
	}
}

// Answers that are not to the question are not believed: the right one is
// waited for, and after many wrong ones the question goes over TCP.
func TestRelayForged(t *testing.T) {
	for _, flood := range []bool{false, true} {
		s := relaying(t, upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
			if w.LocalAddr().Network() == "tcp" {
				outside(w, m)
				return
			}
			forge := func(change func(r *dns.Msg)) {
				r := new(dns.Msg)
				r.SetReply(m)
				r.Answer = record(m.Question[0].Name + " 300 IN A 203.0.113.66")
				change(r)
				w.WriteMsg(r)
			}
			for range straysMost / 8 {
				forge(func(r *dns.Msg) { r.Id++ })
				forge(func(r *dns.Msg) { r.Question[0].Name = "other.example." })
				forge(func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeAAAA })
				forge(func(r *dns.Msg) { r.Question[0].Qclass = dns.ClassCHAOS })
				forge(func(r *dns.Msg) { r.Question = nil })
				forge(func(r *dns.Msg) { r.Response = false })
				w.Write([]byte{1, 2, 3})
				if flood {
					forge(func(r *dns.Msg) { r.Id-- })
				}
			}
			if flood {
				forge(func(r *dns.Msg) {}) // too late
			} else {
				outside(w, m)
			}
		}))
		if got := short(ask(t, s, "udp", "example.org.", dns.TypeA)); got != "NOERROR example.org. 300 IN A 192.0.2.80" {
			t.Errorf("answer %s", got)
		}
	}
}

// A name of the outside does not lead to a service of ours.
func TestRelayRebinding(t *testing.T) {
	s := relaying(t, upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(m)
		r.Answer = record("evil.example. 1 IN A "+web4, "evil.example. 1 IN A 192.0.2.80")
		r.Extra = record("evil.example. 1 IN AAAA " + web6)
		w.WriteMsg(r)
	}))
	r := ask(t, s, "udp", "evil.example.", dns.TypeA)
	if got := short(r); got != "NOERROR evil.example. 1 IN A 192.0.2.80" || len(r.Extra) != 0 {
		t.Errorf("answer %v", r)
	}
}

// Many clients ask the same: one question goes out, all have the answer.
func TestRelayTogether(t *testing.T) {
	var asked atomic.Int32
	gate := make(chan struct{})
	s := relaying(t, upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		<-gate
		outside(w, m)
	}))
	var wg sync.WaitGroup
	for _, name := range strings.Split(strings.Repeat("www.example. WWW.example. ", 20), " ")[:40] {
		wg.Go(func() {
			m := new(dns.Msg)
			m.SetQuestion(name, dns.TypeA)
			c := dns.Client{Timeout: 10 * time.Second}
			r, _, err := c.Exchange(m, s.Addrs()[0].String())
			if err != nil || len(r.Answer) != 1 || r.Question[0].Name != name {
				t.Errorf("%s: %v, %v", name, r, err)
			}
		})
	}
	eventually(t, func() bool { return waits(s) == 40 })
	close(gate)
	wg.Wait()
	// Not all that are admitted have joined when the answer comes.
	if asked.Load() > 10 {
		t.Errorf("%d questions for 40 queries", asked.Load())
	}
}

// An upstream server that is this one by an address that it does not know,
// behind translation: seen at once, and nothing goes round.
func TestRelayLoop(t *testing.T) {
	front, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := relaying(t, front.LocalAddr().(*net.UDPAddr).AddrPort())
	var wg sync.WaitGroup
	var passed atomic.Int32
	wg.Go(func() { // translates addresses
		buf := make([]byte, 4096)
		for {
			n, from, err := front.ReadFrom(buf)
			if err != nil {
				return
			}
			passed.Add(1)
			query := append([]byte(nil), buf[:n]...)
			wg.Go(func() {
				c, err := net.Dial("udp4", s.Addrs()[0].String())
				if err != nil {
					return
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				c.Write(query)
				answer := make([]byte, 4096)
				if n, err := c.Read(answer); err == nil {
					front.WriteTo(answer[:n], from)
				}
			})
		}
	})
	if got := short(ask(t, s, "udp", "example.org.", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("answer %s", got)
	}
	if st := s.Stats(); passed.Load() != 1 || st.Loops != 1 {
		t.Errorf("%d queries went round; stats %+v", passed.Load(), st)
	}
	front.Close()
	wg.Wait()
}

// A loop through another resolver, which gives questions numbers of its own: the
// question waits for itself, and goes round once for each try.
func TestRelayIndirectLoop(t *testing.T) {
	var s *Server
	var passed atomic.Int32
	ready := make(chan struct{})
	other := upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		<-ready
		passed.Add(1)
		again := new(dns.Msg)
		again.SetQuestion(m.Question[0].Name, m.Question[0].Qtype)
		again.Id = m.Id + 1
		again.SetEdns0(udpMost, false)
		c := dns.Client{Timeout: time.Second} // it may be lost when the test ends
		if r, _, err := c.Exchange(again, s.Addrs()[0].String()); err == nil {
			r.Id = m.Id
			w.WriteMsg(r)
		}
	})
	s = patient(t, []time.Duration{50 * time.Millisecond, 50 * time.Millisecond}, other)
	close(ready)
	if got := short(ask(t, s, "udp", "example.org.", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("answer %s", got)
	}
	if n := passed.Load(); n > 2 {
		t.Errorf("%d queries went round", n)
	}
}

// The sockets to upstream servers can be marked.
func TestRelayControl(t *testing.T) {
	var networks sync.Map
	up := upstreamServer(t, outside)
	s := New(Config{Zone: "o7s", Upstream: []netip.AddrPort{up}}, defaultPool(t), nil, func(network, address string, c syscall.RawConn) error {
		networks.Store(network+" "+address, true)
		return nil
	}, quiet)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeA)
	query, _ := m.Pack()
	if out := s.Answer(t.Context(), query, netip.MustParseAddrPort("127.0.0.1:1"), false); len(out) < len(query) {
		t.Errorf("answer % x", out)
	}
	if _, ok := networks.Load("udp4 " + up.String()); !ok {
		t.Error("control was not called")
	}
}
