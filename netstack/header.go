// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers.
const (
	protoHopByHop    = 0
	protoICMP4       = 1
	protoTCP         = 6
	protoUDP         = 17
	protoRouting     = 43
	protoFragment    = 44
	protoICMP6       = 58
	protoDestination = 60
)

// Lengths of headers, bytes.
const (
	ip4Len      = 20
	ip6Len      = 40
	udpLen      = 8
	tcpLen      = 20
	fragmentLen = 8 // IPv6 fragment header
)

// ipHeader is what this package needs of the header of a packet.
type ipHeader struct {
	v6       bool
	proto    uint8 // behind the extension headers; in a fragment, behind the fragment header
	tos      uint8
	len      int // bytes in front of the transport header, or of the fragment's data
	total    int // bytes of the packet, without padding behind it
	src, dst netip.Addr

	fragment bool
	more     bool   // fragments behind this one
	offset   int    // of the fragment, bytes
	id       uint32 // of the packet that was fragmented
}

// parseIP reads the header of an IPv4 or IPv6 packet, with extension headers,
// and checks its lengths.
func parseIP(p []byte) (h ipHeader, ok bool) {
	if len(p) < ip4Len {
		return h, false
	}
	switch p[0] >> 4 {
	case 4:
		h.len, h.total = int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
		if h.len < ip4Len || h.total < h.len || h.total > len(p) {
			return h, false
		}
		h.tos, h.proto = p[1], p[9]
		h.fragmented(binary.BigEndian.Uint16(p[6:])<<3, p[6]&0x20 != 0, uint32(binary.BigEndian.Uint16(p[4:])))
		h.src, h.dst = netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
		return h, true
	case 6:
		if len(p) < ip6Len {
			return h, false
		}
		h.v6, h.len, h.total = true, ip6Len, ip6Len+int(binary.BigEndian.Uint16(p[4:]))
		if h.total > len(p) {
			return h, false
		}
		h.tos, h.proto = p[0]<<4|p[1]>>4, p[6]
		h.src, h.dst = netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:]))
		if h.src.Is4In6() || h.dst.Is4In6() {
			return h, false
		}
		return h, h.extensions(p[:h.total])
	}
	return h, false
}

// fragmented notes what the header says of fragments.
func (h *ipHeader) fragmented(offset uint16, more bool, id uint32) {
	h.offset, h.more, h.id = int(offset), more, id
	h.fragment = more || offset != 0
}

// extensions passes over the extension headers of an IPv6 packet (RFC 8200
// §4), up to a fragment's data.
func (h *ipHeader) extensions(p []byte) bool {
	for {
		rest := p[h.len:]
		switch h.proto {
		case protoHopByHop, protoRouting, protoDestination:
			if len(rest) < 8 || len(rest) < 8+int(rest[1])*8 {
				return false
			}
			h.proto = rest[0]
			h.len += 8 + int(rest[1])*8
		case protoFragment:
			if len(rest) < fragmentLen {
				return false
			}
			where := binary.BigEndian.Uint16(rest[2:])
			h.fragmented(where&^7, where&1 != 0, binary.BigEndian.Uint32(rest[4:]))
			h.proto = rest[0]
			h.len += fragmentLen
			if h.fragment {
				return true
			}
		default:
			return true
		}
	}
}

// sum adds p, as 16-bit numbers, to a checksum that is not folded.
func sum(p []byte, s uint64) uint64 {
	for len(p) >= 8 {
		v := binary.BigEndian.Uint64(p)
		s += v>>32 + v&0xffffffff
		p = p[8:]
	}
	for len(p) >= 2 {
		s += uint64(binary.BigEndian.Uint16(p))
		p = p[2:]
	}
	if len(p) > 0 {
		s += uint64(p[0]) << 8
	}
	return s
}

// fold makes a checksum of 16 bits.
func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// pseudo returns the sum of the pseudo header (RFC 768, RFC 8200 §8.1).
func pseudo(src, dst netip.Addr, proto uint8, n int) uint64 {
	s := uint64(proto) + uint64(n)
	if src.Is4() {
		a, b := src.As4(), dst.As4()
		return sum(b[:], sum(a[:], s))
	}
	a, b := src.As16(), dst.As16()
	return sum(b[:], sum(a[:], s))
}

// hopLimit is the TTL of packets made here.
const hopLimit = 64

// putIP writes a header without options into b, which has ip4Len or ip6Len
// bytes, for n bytes behind it. The packet may not be fragmented.
func putIP(b []byte, src, dst netip.Addr, proto, tos uint8, n int) {
	if src.Is4() {
		b[0], b[1] = 0x45, tos
		binary.BigEndian.PutUint16(b[2:], uint16(ip4Len+n))
		clear(b[4:8])
		b[6] = 0x40 // don't fragment
		b[8], b[9], b[10], b[11] = hopLimit, proto, 0, 0
		s, d := src.As4(), dst.As4()
		copy(b[12:], s[:])
		copy(b[16:], d[:])
		binary.BigEndian.PutUint16(b[10:], ^fold(sum(b[:ip4Len], 0)))
		return
	}
	b[0], b[1], b[2], b[3] = 6<<4|tos>>4, tos<<4, 0, 0
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = proto, hopLimit
	s, d := src.As16(), dst.As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
}

// allowFragments lets routers fragment an IPv4 packet.
func allowFragments(h []byte, id uint16) {
	binary.BigEndian.PutUint16(h[4:], id)
	h[6], h[7], h[10], h[11] = 0, 0, 0, 0
	binary.BigEndian.PutUint16(h[10:], ^fold(sum(h[:ip4Len], 0)))
}

// ipLen returns the length of a header without options.
func ipLen(a netip.Addr) int {
	if a.Is4() {
		return ip4Len
	}
	return ip6Len
}
