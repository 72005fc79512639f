// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
)

const (
	// reserved is how many addresses at the start of a range stand for no
	// name: that of the network, of the resolver, of the interface.
	reserved = 3
	// minHost is how many bits of an address a range must leave at least.
	minHost = 3
	// maxIndex is how many bits of an address are used at most.
	maxIndex = 62
)

// span is a range of addresses, numbered from 0 for the first that may stand
// for a name. The zero span has none.
type span struct {
	prefix netip.Prefix
	size   uint64
}

func newSpan(p netip.Prefix, v4 bool) (span, error) {
	if !p.IsValid() {
		return span{}, nil
	}
	host := p.Addr().BitLen() - p.Bits()
	switch {
	case p.Addr().Is4() != v4 || p.Addr().Is4In6():
		return span{}, fmt.Errorf("range %v is of the other family", p)
	case p != p.Masked():
		return span{}, fmt.Errorf("range %v has bits behind the prefix: %v?", p, p.Masked())
	case host < minHost:
		return span{}, fmt.Errorf("range %v is too small: at most /%d", p, p.Addr().BitLen()-minHost)
	case p.Bits() == 0 || p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsUnspecified():
		return span{}, fmt.Errorf("range %v has addresses that mean something else", p)
	}
	// The last address is the broadcast address of IPv4.
	return span{p, 1<<min(host, maxIndex) - reserved - 1}, nil
}

// addr returns the address of a number, which may be anything.
func (s span) addr(n uint64) netip.Addr { return s.at(n%s.size + reserved) }

// at returns the n-th address of the range, from 0.
func (s span) at(n uint64) netip.Addr {
	if !s.prefix.IsValid() {
		return netip.Addr{}
	}
	if s.prefix.Addr().Is4() {
		b := s.prefix.Addr().As4()
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(b[:])+uint32(n))))
	}
	b := s.prefix.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+n)
	return netip.AddrFrom16(b)
}

// names returns how many names the range has room for. A quarter stays free, so
// that the search for a free address is short.
func (s span) names() int {
	if !s.prefix.IsValid() || s.size > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(max(1, s.size/4*3))
}
