// SPDX-License-Identifier: BSD-3-Clause

package ddns

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestAddresses(t *testing.T) {
	for what, c := range map[string]struct {
		answer []string
		want   []netip.Addr
		ttl    time.Duration
	}{
		"none":      {nil, nil, 0},
		"several":   {[]string{"n. 9 A 192.0.2.2", "n. 8 A 192.0.2.1", "N. 9 A 192.0.2.2"}, addrs("192.0.2.2", "192.0.2.1"), 8 * time.Second},
		"others":    {[]string{"m. 9 A 192.0.2.2", "n. 9 AAAA 2001:db8::1", "n. 9 CH A 192.0.2.1", "n. 9 TXT x"}, nil, 0},
		"useless":   {[]string{"n. 9 A 0.0.0.0", "n. 9 A 224.0.0.1", "n. 9 A 255.255.255.255"}, nil, 0},
		"alias":     {[]string{"n. 5 CNAME m.", "m. 9 A 192.0.2.1"}, addrs("192.0.2.1"), 5 * time.Second},
		"elsewhere": {[]string{"n. 5 CNAME m."}, nil, 0},
		"loop":      {[]string{"n. 5 CNAME m.", "m. 5 CNAME n."}, nil, 0},
		"itself":    {[]string{"n. 5 CNAME n."}, nil, 0},
		"for ever":  {[]string{"n. 4000000000 A 192.0.2.1"}, addrs("192.0.2.1"), recordTTL * time.Second},
	} {
		var r dns.Msg
		for _, s := range c.answer {
			rr, err := dns.NewRR(s)
			if err != nil {
				continue // class CH has addresses of another kind
			}
			r.Answer = append(r.Answer, rr)
		}
		if got, ttl := addresses(&r, "n.", dns.TypeA); !slices.Equal(got, c.want) || ttl != c.ttl {
			t.Errorf("%s: %v for %v", what, got, ttl)
		}
	}
	r := &dns.Msg{Answer: []dns.RR{record("n.", netip.MustParseAddr("::1")), &dns.AAAA{
		Hdr:  dns.RR_Header{Name: "n.", Rrtype: dns.TypeAAAA, Class: dns.ClassINET, Ttl: 3},
		AAAA: netip.MustParseAddr("::ffff:192.0.2.1").AsSlice(),
	}}}
	if got, _ := addresses(r, "n.", dns.TypeAAAA); !slices.Equal(got, addrs("::1")) {
		t.Errorf("IPv6: %v", got)
	}
}

func FuzzAnswer(f *testing.F) {
	q := question("n.", dns.TypeA)
	q.Id = 1
	for _, s := range [][]string{{"n. 9 A 192.0.2.2"}, {"n. 5 CNAME m.", "m. 5 CNAME n."}, {". 9 SOA ns. a. 1 2 3 4 5"}} {
		raw, err := reply(q, dns.RcodeSuccess, s...).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := new(dns.Msg)
		if r.Unpack(raw) != nil || !answers(q, r) {
			return
		}
		got, ttl := addresses(r, "n.", dns.TypeA)
		if len(got) > maxAddresses || ttl < 0 || ttl > recordTTL*time.Second {
			t.Errorf("%d addresses for %v", len(got), ttl)
		}
		for _, a := range got {
			if !a.Is4() {
				t.Errorf("not IPv4: %v", a)
			}
		}
		if zone, ok := enclosing(r, "n."); ok && zone != "n." && zone != "." {
			t.Errorf("zone %q", zone)
		}
	})
}
