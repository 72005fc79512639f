// SPDX-License-Identifier: BSD-3-Clause

package policy

import "net/netip"

// special are the ranges that a rule must name to allow them (IANA registries
// of special-purpose addresses): they lead back to the machine itself, to the
// link, to groups, to another address that stands within, to services that the
// gateway itself calls, or to the secrets that a cloud keeps for its machines.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, metadata of most clouds
	netip.MustParsePrefix("198.18.0.0/15"),  // benchmarks; here, names of services
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"), // reserved, broadcast

	netip.MustParsePrefix("::/96"),           // unspecified, loopback, IPv4-compatible
	netip.MustParsePrefix("::ffff:0:0/96"),   // IPv4-mapped
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated (RFC 2765)
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64 (RFC 8215)
	netip.MustParsePrefix("2001::/32"),       // Teredo
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fec0::/10"), // site-local
	netip.MustParsePrefix("ff00::/8"),

	netip.MustParsePrefix("100.100.100.200/32"), // metadata: Alibaba
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
	netip.MustParsePrefix("fd00:ec2::/32"),      // Amazon
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google
}

// specialRange returns the special range of an address; invalid: none.
func specialRange(addr netip.Addr) netip.Prefix {
	for _, p := range special {
		if p.Contains(addr) {
			return p
		}
	}
	return netip.Prefix{}
}

// Special reports whether an address must be named by a rule to be allowed.
func Special(addr netip.Addr) bool {
	return specialRange(addr.Unmap().WithZone("")).IsValid()
}
