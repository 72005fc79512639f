// SPDX-License-Identifier: BSD-3-Clause

package policy

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

var (
	alice  = Peer{Name: "alice.example", Layer: "net"}
	nobody = Peer{Layer: "net"}
	local  = Peer{}
)

func web(host string) session.Request {
	return session.Request{Proto: session.TCP, Host: host, Port: 443}
}

// TestCheck: what rules allow. The address is that of the target.
func TestCheck(t *testing.T) {
	all := []Rule{{}}
	for _, c := range []struct {
		name  string
		allow []Rule
		peer  Peer
		req   session.Request
		addr  string
		want  bool
	}{
		{"nothing is allowed without rules", nil, alice, web(""), "192.0.2.1", false},
		{"an empty rule is everything", all, nobody, web(""), "192.0.2.1", true},
		{"an empty rule is the service, too", all, nobody, web(""), "", true},

		{"peer", []Rule{{Peers: []string{"alice.example"}}}, alice, web(""), "192.0.2.1", true},
		{"other peer", []Rule{{Peers: []string{"alice.example"}}}, Peer{Name: "bob.example"}, web(""), "192.0.2.1", false},
		{"peers are told apart byte by byte", []Rule{{Peers: []string{"Alice.example"}}}, alice, web(""), "192.0.2.1", false},
		{"nobody is no peer of a list", []Rule{{Peers: []string{"alice.example", "*"}}}, nobody, web(""), "192.0.2.1", false},
		{"nobody may be named", []Rule{{Peers: []string{""}}}, nobody, web(""), "192.0.2.1", true},
		{"who is somebody is not nobody", []Rule{{Peers: []string{""}}}, alice, web(""), "192.0.2.1", false},
		{"everybody with a certificate", []Rule{{Peers: []string{"*"}}}, alice, web(""), "192.0.2.1", true},
		{"pattern of peers", []Rule{{Peers: []string{"*.example"}}}, alice, web(""), "192.0.2.1", true},

		{"layer", []Rule{{Layers: []string{"net"}}}, nobody, web(""), "192.0.2.1", true},
		{"other layer", []Rule{{Layers: []string{"net"}}}, Peer{Name: "alice.example", Layer: "lan"}, web(""), "192.0.2.1", false},
		{"this node", []Rule{{Layers: []string{""}}}, local, web(""), "192.0.2.1", true},
		{"this node is no layer", []Rule{{Layers: []string{"*"}}}, local, web(""), "192.0.2.1", false},
		{"both lists count", []Rule{{Peers: []string{"alice.example"}, Layers: []string{"lan"}}}, alice, web(""), "192.0.2.1", false},

		{"host", []Rule{{Hosts: []string{"*.example.org"}}}, alice, web("WWW.Example.Org."), "192.0.2.1", true},
		{"host above the pattern", []Rule{{Hosts: []string{"*.example.org"}}}, alice, web("example.org"), "192.0.2.1", false},
		{"host that only ends so", []Rule{{Hosts: []string{"*.example.org"}}}, alice, web("badexample.org"), "192.0.2.1", false},
		{"other host", []Rule{{Hosts: []string{"example.org"}}}, alice, web("example.net"), "192.0.2.1", false},
		{"an address is no host", []Rule{{Hosts: []string{"*"}}}, alice, web(""), "192.0.2.1", false},

		{"target", []Rule{{Targets: prefixes("192.0.2.0/24")}}, alice, web(""), "192.0.2.255", true},
		{"other target", []Rule{{Targets: prefixes("192.0.2.0/24")}}, alice, web(""), "192.0.3.1", false},
		{"host within the targets", []Rule{{Targets: prefixes("192.0.2.0/24")}}, alice, web("example.org"), "192.0.2.1", true},
		{"host outside of the targets", []Rule{{Hosts: []string{"example.org"}, Targets: prefixes("192.0.2.0/24")}}, alice, web("example.org"), "198.51.100.1", false},
		{"IPv4 is no IPv6", []Rule{{Targets: prefixes("::/0")}}, alice, web(""), "192.0.2.1", false},
		{"IPv6", []Rule{{Targets: prefixes("2001:db8::/32")}}, alice, web(""), "2001:db8::1", true},
		{"IPv4 in IPv6 form is IPv4", []Rule{{Targets: prefixes("192.0.2.0/24")}}, alice, web(""), "::ffff:192.0.2.1", true},
		{"a rule with targets is for no service", []Rule{{Targets: prefixes("0.0.0.0/0")}}, alice, web(""), "", false},

		{"port", []Rule{{Ports: []route.PortRange{{First: 80, Last: 80}, {First: 400, Last: 443}}}}, alice, web(""), "192.0.2.1", true},
		{"other port", []Rule{{Ports: []route.PortRange{{First: 444, Last: 65535}}}}, alice, web(""), "192.0.2.1", false},
		{"protocol", []Rule{{Protos: []session.Proto{session.TCP}}}, alice, web(""), "192.0.2.1", true},
		{"other protocol", []Rule{{Protos: []session.Proto{session.UDP}}}, alice, web(""), "192.0.2.1", false},
		{"the second rule", []Rule{{Peers: []string{"bob"}}, {Targets: prefixes("192.0.2.1/32")}}, alice, web(""), "192.0.2.1", true},
		{"halves of two rules are none", []Rule{{Peers: []string{"bob"}}, {Targets: prefixes("192.0.2.2/32")}}, alice, web(""), "192.0.2.1", false},

		{"the loopback interface named", []Rule{{Targets: prefixes("127.0.0.0/8")}}, alice, web(""), "127.0.0.1", true},
		{"one address of it", []Rule{{Targets: prefixes("127.0.0.1/32")}}, alice, web(""), "127.0.0.2", false},
		{"a prefix around it names nothing", []Rule{{Targets: prefixes("126.0.0.0/7")}}, alice, web(""), "127.0.0.1", false},
		{"::1 named", []Rule{{Targets: prefixes("::1/128")}}, alice, web(""), "::1", true},
		{"the metadata service named", []Rule{{Targets: prefixes("169.254.169.254/32")}}, alice, web("metadata"), "169.254.169.254", true},
	} {
		p := Policy{Allow: c.allow}
		var addr netip.Addr
		if c.addr != "" {
			addr = netip.MustParseAddr(c.addr)
		}
		if got := p.Check(c.peer, c.req, addr); (got == session.OK) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if c.want && (!p.Knows(c.peer) || !p.Could(c.peer, c.req)) {
			t.Errorf("%s: refused before it was checked", c.name)
		}
	}
}

// TestSpecial: addresses that no rule opens that does not name them.
func TestSpecial(t *testing.T) {
	open := []Policy{
		{Default: true},
		{Allow: []Rule{{}}},
		{Allow: []Rule{{Targets: prefixes("0.0.0.0/0", "::/0")}}},
		{Allow: []Rule{{Hosts: []string{"*"}}}},
		{Allow: []Rule{{Targets: prefixes("::ffff:0:0/95", "64:ff9b::/32", "0.0.0.0/1", "128.0.0.0/1", "f000::/4")}}},
	}
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "169.254.169.254", "198.18.0.5", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
		"2002:7f00:1::1", "2001:0:1::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
		"100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
	} {
		addr := netip.MustParseAddr(a)
		if !Special(addr) {
			t.Errorf("%v is not special", a)
		}
		for i, p := range open {
			if got := p.Check(alice, web("rebound.example"), addr); got != session.Denied {
				t.Errorf("policy %d: %v: %v", i, a, got)
			}
		}
	}
	for _, a := range []string{"1.1.1.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "223.255.255.255", "::ffff:192.0.2.1", "2001:db8::1", "fd00::1", "2606:4700::1"} {
		if Special(netip.MustParseAddr(a)) {
			t.Errorf("%v is special", a)
		}
	}
}

// TestNames: what leads back into the gateway needs a rule of its own.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		targets string
		addr    string
		within  string
		want    session.Status
	}{
		{"", "192.0.2.1", "192.0.2.1/32", session.Denied},
		{"0.0.0.0/0", "192.0.2.1", "192.0.2.1/32", session.Denied},
		{"192.0.2.0/31", "192.0.2.1", "192.0.2.1/32", session.Denied},
		{"192.0.2.1/32", "192.0.2.1", "192.0.2.1/32", session.OK},
		{"192.0.2.1/32", "::ffff:192.0.2.1", "192.0.2.1/32", session.OK},
		{"127.0.0.0/8", "127.0.0.1", "127.0.0.1/32", session.OK},
		{"2001:db8::/64", "2001:db8::1", "2001:db8::1/128", session.Denied},
		{"2001:db8::1/128", "2001:db8::1", "2001:db8::1/128", session.OK},
		{"10.0.0.0/8", "10.1.2.3", "10.1.0.0/16", session.Denied},
		{"10.1.0.0/16", "10.1.2.3", "10.1.0.0/16", session.OK},
		{"10.1.2.0/24", "10.1.2.3", "10.1.0.0/16", session.OK},
		{"10.1.3.0/24", "10.1.2.3", "10.1.0.0/16", session.Denied},
	} {
		p := Policy{Allow: []Rule{{Targets: prefixes(strings.Fields(c.targets)...)}}, Default: true}
		if got := p.Names(alice, web(""), netip.MustParseAddr(c.addr), netip.MustParsePrefix(c.within)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestCould: what need not be looked up.
func TestCould(t *testing.T) {
	p := Policy{Allow: []Rule{{Peers: []string{"alice.example"}, Targets: prefixes("192.0.2.0/24"), Ports: []route.PortRange{{First: 443, Last: 443}}}}}
	if !p.Could(alice, web("any.example")) {
		t.Error("a host that may have an allowed address is not looked up")
	}
	if r := web("any.example"); p.Could(Peer{Name: "bob"}, r) {
		t.Error("another peer")
	} else if r.Port = 80; p.Could(alice, r) {
		t.Error("another port")
	}
	if p.Knows(nobody) {
		t.Error("the policy knows who is in no rule")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"", "", true}, {"", "a", false},
		{"*", "a", true}, {"*", "", false}, {"**", "a", true}, {"a*", "a", true}, {"a*", "ab", true}, {"a*", "ba", false},
		{"*a", "ba", true}, {"*a", "ab", false}, {"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "axbxbc", true},
		{"a*b*c", "axcxb", false}, {"*ab*ab", "ab", false}, {"*ab*ab", "abab", true}, {"a?c", "abc", false}, {"[a]", "a", false},
		{"*.example", "example", false}, {"a*\n", "a*b", false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

// FuzzMatch compares patterns with regular expressions.
func FuzzMatch(f *testing.F) {
	for _, c := range [][2]string{{"a*b", "ab"}, {"*", "x"}, {"a**b*c", "abbc"}, {"*a*", "bab"}, {"", ""}, {"*.example", "alice.example"}, {"\xff*", "\xffa"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 64 || len(name) > 256 {
			return
		}
		got := Match(pattern, name)
		if name == "" {
			if got != (pattern == "") {
				t.Fatalf("Match(%q, %q) = %v", pattern, name, got)
			}
			return
		}
		// One byte, one character: the pattern is bytes, not text.
		runes := func(s string) string {
			var b strings.Builder
			for i := range len(s) {
				b.WriteRune(rune(s[i]))
			}
			return b.String()
		}
		parts := strings.Split(runes(pattern), "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		want := regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`).MatchString(runes(name))
		if got != want {
			t.Fatalf("Match(%q, %q) = %v", pattern, name, got)
		}
	})
}

// FuzzCheck: no address that is special, however it is written, is reached by a
// policy that names none.
func FuzzCheck(f *testing.F) {
	for _, a := range []string{"127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "192.0.2.1", "fe80::1"} {
		f.Add(netip.MustParseAddr(a).AsSlice(), "host", uint16(80))
	}
	p := Policy{Allow: []Rule{{Targets: prefixes("0.0.0.0/0", "::/0")}, {Hosts: []string{"*"}}}}
	f.Fuzz(func(t *testing.T, raw []byte, host string, port uint16) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		got := p.Check(alice, session.Request{Proto: session.TCP, Host: host, Port: port}, addr)
		if addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() || addr.Unmap().IsLoopback() {
			if got != session.Denied {
				t.Fatalf("%v: %v", addr, got)
			}
		}
	})
}
