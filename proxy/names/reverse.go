// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// Names of the reverse trees end so.
const (
	reverse4 = ".in-addr.arpa."
	reverse6 = ".ip6.arpa."
)

// parseReverse returns the addresses that a name of in-addr.arpa or ip6.arpa
// stands for, as far as it is understood from its end: all 32 or 128 bits for
// one address. rest is how many bytes in front are not part of it. ok is false for
// names of other trees. The name is in lower case.
func parseReverse(name string) (p netip.Prefix, rest int, ok bool) {
	var step, size int
	body, ok := strings.CutSuffix(name, reverse4)
	if ok {
		step, size = 8, 4
	} else if body, ok = strings.CutSuffix(name, reverse6); ok {
		step, size = 4, 16
	} else {
		return p, 0, false
	}
	var addr [16]byte
	bits := 0
	for body != "" && bits < 8*size {
		label := body[strings.LastIndexByte(body, '.')+1:]
		n, ok := part(label, step)
		if !ok {
			break
		}
		addr[bits/8] |= n << (8 - step - bits%8)
		bits += step
		body = strings.TrimSuffix(body[:len(body)-len(label)], ".")
	}
	a := netip.AddrFrom16(addr)
	if step == 8 {
		a = netip.AddrFrom4([4]byte(addr[:4]))
	}
	return netip.PrefixFrom(a, bits), len(body), true
}

// part reads a label of a reverse name: a decimal byte or a hexadecimal digit.
func part(label string, step int) (byte, bool) {
	if step == 4 {
		n, err := strconv.ParseUint(label, 16, 4)
		return byte(n), err == nil && len(label) == 1
	}
	n, err := strconv.ParseUint(label, 10, 8)
	return byte(n), err == nil && (label[0] != '0' || len(label) == 1)
}

// apexBits returns how many bits the reverse zones of a range have in their
// names: they end where labels do.
func apexBits(p netip.Prefix) int {
	step := 8
	if p.Addr().Is6() {
		step = 4
	}
	return (p.Bits() + step - 1) / step * step
}

// reverseApex returns the end of a reverse name that stands for bits bits of
// address, which is the name of a zone.
func reverseApex(name string, bits int) string {
	labels, suffix := bits/8, reverse4
	if !strings.HasSuffix(toLower(name), suffix) {
		labels, suffix = bits/4, reverse6
	}
	i := len(name) - len(suffix)
	for ; labels > 0; labels-- {
		i = strings.LastIndexByte(name[:i], '.')
	}
	return name[i+1:]
}

// ReverseZones returns the zones of reverse look-ups for the ranges, without the
// dot at the end, for resolvers that shall ask here for them.
func (p *Pool) ReverseZones() (zones []string) {
	for _, r := range []netip.Prefix{p.v4.prefix, p.v6.prefix} {
		if !r.IsValid() {
			continue
		}
		bits := apexBits(r)
		// At most 128 of IPv4, 8 of IPv6.
		for a := r.Addr(); r.Contains(a); a = next(netip.PrefixFrom(a, bits)) {
			name, _ := dns.ReverseAddr(a.String()) // only fails for what is no address
			zones = append(zones, strings.TrimSuffix(reverseApex(name, bits), "."))
		}
	}
	return zones
}

// next returns the first address behind a prefix; the zero Addr behind the last.
func next(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i > 0; i-- {
		bit := byte(0x80) >> ((i - 1) % 8)
		b[(i-1)/8] ^= bit
		if b[(i-1)/8]&bit != 0 {
			a, _ := netip.AddrFromSlice(b)
			return a
		}
	}
	return netip.Addr{}
}
