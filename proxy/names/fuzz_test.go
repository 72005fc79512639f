// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// seeds returns queries to start from.
func seeds() (list [][]byte) {
	for _, name := range []string{"web.o7s.", "o7s.", "a.b.c.o7s.", "1.2.18.198.in-addr.arpa.", ".", canary, `a\.b.o7s.`} {
		for _, typ := range []uint16{dns.TypeA, dns.TypePTR, dns.TypeANY, dns.TypeAXFR, dns.TypeHTTPS} {
			m := new(dns.Msg)
			m.SetQuestion(name, typ)
			m.SetEdns0(1232, true)
			b, err := m.Pack()
			if err != nil {
				panic(err)
			}
			list = append(list, b)
		}
	}
	return list
}

// Whatever a client sends: silence, or an answer with its number that can be
// read, fits, and has the client's question.
func FuzzAnswer(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, false)
	}
	f.Add([]byte{1, 2, 0x29, 3, 0, 1, 0, 0, 0, 0, 0, 0}, true)
	f.Fuzz(func(t *testing.T, raw []byte, tcp bool) {
		pool, err := NewPool(netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("fd00::/64"), 16)
		if err != nil {
			t.Fatal(err)
		}
		s := New(Defaults(), pool, func(_ context.Context, service string) (bool, error) { return len(service)%2 == 1, nil }, nil, quiet)
		defer s.Close()
		out := s.Answer(t.Context(), raw, netip.MustParseAddrPort("192.0.2.1:5353"), tcp)
		if out == nil {
			return
		}
		if len(raw) < headerLen || raw[2]&0x80 != 0 {
			t.Fatalf("answer % x to what is no query", out)
		}
		r := new(dns.Msg)
		if err := r.Unpack(out); err != nil {
			t.Fatalf("answer % x: %v", out, err)
		}
		limit := udpMost
		if tcp {
			limit = dns.MaxMsgSize
		}
		if out[0] != raw[0] || out[1] != raw[1] || !r.Response || len(out) > limit || len(out) > len(raw)+512 {
			t.Fatalf("answer %v to % x", r, raw)
		}
		q := new(dns.Msg)
		if len(r.Question) > 0 && (q.Unpack(raw) != nil || q.Question[0] != r.Question[0]) {
			t.Fatalf("question %v, was %v", r.Question, q.Question)
		}
		if pool.Len() > 1 {
			t.Fatalf("one query, %d names", pool.Len())
		}
	})
}

// Whatever an upstream server sends: it is not taken for an answer, or is one
// to the question, and becomes an answer to the client that can be read.
func FuzzUpstream(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("www.example.org.", dns.TypeA)
	q.Id = 7
	for _, s := range seeds() {
		f.Add(s)
	}
	r := new(dns.Msg)
	r.SetReply(q)
	r.Answer = record("www.example.org. 300 IN CNAME web.example.org.", "web.example.org. 60 IN A 192.0.2.80", "web.example.org. 60 IN A 198.18.0.9")
	r.SetEdns0(1232, true)
	b, err := r.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	query, _ := q.Pack()
	relay := newRelay(nil, netip.MustParsePrefix("198.18.0.0/15").Contains, &counters{}, quiet)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := match(raw, q)
		if m == nil {
			return
		}
		c, fail := parse(query, netip.MustParseAddr("192.0.2.1"), false)
		if c == nil {
			t.Fatal(fail)
		}
		relay.give(c, m)
		out := c.pack()
		back := new(dns.Msg)
		if err := back.Unpack(out); err != nil || len(out) > dns.MinMsgSize || back.Question[0] != q.Question[0] || back.Id != 7 {
			t.Fatalf("%v: %v becomes %v, %d bytes", err, m, back, len(out))
		}
		for _, rr := range back.Answer {
			if a, ok := rr.(*dns.A); ok && a.A.To4() != nil && a.A.To4()[0] == 198 && a.A.To4()[1]&^1 == 18 {
				t.Fatalf("%v passes", rr)
			}
		}
	})
}
