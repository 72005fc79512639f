// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestServiceOfName(t *testing.T) {
	z := newZone("o7s")
	long := strings.Repeat("a", maxLabel)
	for _, c := range []struct {
		name    string
		in, ok  bool
		service string
	}{
		{"web.o7s.", true, true, "web"},
		{"WeB.O7S.", true, true, "web"},
		{"a.b.o7s.", true, true, "a.b"},
		{"_x-1~.o7s.", true, true, "_x-1~"},
		{long + ".o7s.", true, true, long},
		{"o7s.", true, false, ""},
		{"o7s.o7s.", true, true, "o7s"},
		{`a\.b.o7s.`, true, false, ""},
		{`a\\.o7s.`, true, false, ""},
		{`a\032b.o7s.`, true, false, ""},
		{`\195\164.o7s.`, true, false, ""},
		{`a\@b.o7s.`, true, false, ""},
		{`web\.o7s.`, false, false, ""},
		{"xo7s.", false, false, ""},
		{"o7s.example.", false, false, ""},
		{".", false, false, ""},
	} {
		prefix, in := z.cut(c.name)
		got, ok := service(prefix)
		if in != c.in || in && (ok != c.ok || got != c.service) {
			t.Errorf("%s: in the zone %v, service %q %v; want %v, %q %v", c.name, in, got, ok, c.in, c.service, c.ok)
		}
		if c.ok {
			if back, ok := z.name(got); !ok || back != toLower(c.name) {
				t.Errorf("%s has the name %s %v, want %s", got, back, ok, c.name)
			}
		}
	}
	for _, s := range []string{"", "Web", "a b", "a..b", ".a", "a.", "ä", "a@b", long + "a", strings.Repeat("a.", 125) + "a", `a\b`} {
		if name, ok := z.name(s); ok {
			t.Errorf("service %q has the name %s: nobody who asks for it gets that service", s, name)
		}
	}
}

func TestCheckZone(t *testing.T) {
	for _, z := range []string{"o7s", "o7s.example.org", "home.arpa", "x.home.arpa", "1-2"} {
		if err := CheckZone(z); err != nil {
			t.Errorf("%s: %v", z, err)
		}
	}
	for _, z := range []string{"", ".", "o7s.", "O7S", "a..b", "-a", "a-", "a_b", "arpa", "10.in-addr.arpa", "ä", strings.Repeat("a.", 40) + "a"} {
		if CheckZone(z) == nil {
			t.Errorf("%q passes", z)
		}
	}
}

func TestParseReverse(t *testing.T) {
	for _, c := range []struct {
		name   string
		prefix string // "" for a name of another tree
		rest   int
	}{
		{"1.2.18.198.in-addr.arpa.", "198.18.2.1/32", 0},
		{"18.198.in-addr.arpa.", "198.18.0.0/16", 0},
		{"x.1.2.18.198.in-addr.arpa.", "198.18.2.1/32", 1},
		{"b._dns-sd._udp.0.18.198.in-addr.arpa.", "198.18.0.0/24", 14},
		{"256.2.18.198.in-addr.arpa.", "198.18.2.0/24", 3},
		{"01.2.18.198.in-addr.arpa.", "198.18.2.0/24", 2},
		{"+1.2.18.198.in-addr.arpa.", "198.18.2.0/24", 2},
		{`\..198.in-addr.arpa.`, "198.0.0.0/8", 2},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.d.b.d.e.f.9.1.1.6.d.f.ip6.arpa.", "fd61:19fe:dbd5::1/128", 0},
		{"d.f.ip6.arpa.", "fd00::/8", 0},
		{"g.d.f.ip6.arpa.", "fd00::/8", 1},
		{"10.d.f.ip6.arpa.", "fd00::/8", 2},
		{"in-addr.arpa.", "", 0},
		{"1.in-addr.arpa.o7s.", "", 0},
	} {
		p, rest, ok := parseReverse(c.name)
		if ok != (c.prefix != "") || ok && (p.String() != c.prefix || rest != c.rest) {
			t.Errorf("%s: %v %d %v, want %s %d", c.name, p, rest, ok, c.prefix, c.rest)
		}
	}
	for _, s := range []string{"198.18.0.1", "0.0.0.0", "255.255.255.255", "fd61:19fe:dbd5::abcd", "::"} {
		name, err := dns.ReverseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		if p, rest, ok := parseReverse(name); !ok || rest != 0 || !p.IsSingleIP() || p.Addr() != netip.MustParseAddr(s) {
			t.Errorf("%s: %v %d %v", name, p, rest, ok)
		}
	}
}

func TestReverseZones(t *testing.T) {
	for _, c := range []struct{ v4, v6, want string }{
		{"198.18.0.0/15", "fd61:19fe:dbd5::/64", "18.198.in-addr.arpa 19.198.in-addr.arpa 0.0.0.0.5.d.b.d.e.f.9.1.1.6.d.f.ip6.arpa"},
		{"10.0.0.0/8", "", "10.in-addr.arpa"},
		{"254.0.0.0/7", "", "254.in-addr.arpa 255.in-addr.arpa"},
		{"10.1.2.0/29", "", "0.2.1.10.in-addr.arpa 1.2.1.10.in-addr.arpa 2.2.1.10.in-addr.arpa 3.2.1.10.in-addr.arpa 4.2.1.10.in-addr.arpa 5.2.1.10.in-addr.arpa 6.2.1.10.in-addr.arpa 7.2.1.10.in-addr.arpa"},
		{"", "fc00::/7", "c.f.ip6.arpa d.f.ip6.arpa"},
	} {
		if got := newPool(t, c.v4, c.v6, 10).ReverseZones(); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s %s: %v", c.v4, c.v6, got)
		}
	}
}

// Each reverse name is of its range, and ends with a zone that is served.
func FuzzReverse(f *testing.F) {
	f.Add("1.2.18.198.in-addr.arpa.")
	f.Add("0.0.0.0.5.d.b.d.e.f.9.1.1.6.d.f.ip6.arpa.")
	f.Add(`a\.1.198.in-addr.arpa.`)
	f.Fuzz(func(t *testing.T, name string) {
		if _, ok := dns.IsDomainName(name); !ok {
			return
		}
		name = toLower(name)
		p, rest, ok := parseReverse(name)
		if !ok {
			return
		}
		if p != p.Masked() || !p.IsValid() || rest > len(name) {
			t.Fatalf("%q: %v, rest %d", name, p, rest)
		}
		for bits := 0; bits <= p.Bits(); bits += 8 {
			apex := reverseApex(name, bits)
			if !strings.HasSuffix(name, apex) {
				t.Fatalf("%q does not end with %q", name, apex)
			}
			q, rest, ok := parseReverse(apex)
			if bits > 0 && (!ok || rest != 0 || q != netip.PrefixFrom(p.Addr(), bits).Masked()) {
				t.Fatalf("%q: zone %q of %d bits is %v", name, apex, bits, q)
			}
		}
		if rest == 0 && p.IsSingleIP() {
			if want, err := dns.ReverseAddr(p.Addr().String()); err != nil || want != name {
				t.Fatalf("%q stands for %v, which has %q", name, p, want)
			}
		}
	})
}
