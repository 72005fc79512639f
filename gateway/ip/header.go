// SPDX-License-Identifier: BSD-3-Clause

package ip

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Protocol numbers and header lengths in bytes.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58

	IPv4Len = 20 // without options
	IPv6Len = 40
	TCPLen  = 20 // without options
	UDPLen  = 8
)

// MinMTU6 is the smallest MTU, in bytes, of a link that carries IPv6 (RFC
// 8200 §5).
const MinMTU6 = 1280

// ErrMalformed is returned by Parse for what is no IP packet.
var ErrMalformed = errors.New("ip: malformed packet")

// Header is what a tunnel looks at in a packet.
type Header struct {
	Version uint8 // 4 or 6
	Proto   uint8 // protocol of the payload; for IPv6 the first next header
	Len     int   // bytes of the header in front of the payload
	Total   int   // bytes of the packet by its own account; at most len(p)
	// Fragment is true for any fragment, First for the one with offset 0 and
	// for whole packets: only First has a transport header.
	Fragment, First bool
}

// Parse checks the header of p.
func Parse(p []byte) (h Header, err error) {
	if len(p) < IPv4Len {
		return h, ErrMalformed
	}
	switch p[0] >> 4 {
	case 4:
		h.Version, h.Proto = 4, p[9]
		h.Len = int(p[0]&15) * 4
		h.Total = int(binary.BigEndian.Uint16(p[2:]))
		frag := binary.BigEndian.Uint16(p[6:])
		h.Fragment, h.First = frag&0x3fff != 0, frag&0x1fff == 0
		if h.Len < IPv4Len || h.Total < h.Len || h.Total > len(p) {
			return h, ErrMalformed
		}
	case 6:
		if len(p) < IPv6Len {
			return h, ErrMalformed
		}
		h.Version, h.Proto = 6, p[6]
		h.Len = IPv6Len
		h.Total = IPv6Len + int(binary.BigEndian.Uint16(p[4:]))
		h.First = true
		if h.Total > len(p) {
			return h, ErrMalformed
		}
	default:
		return h, ErrMalformed
	}
	return h, nil
}

// Addrs returns the source and destination address bytes of a packet that
// Parse accepted, next to each other: 8 or 32 bytes.
func Addrs(p []byte) []byte {
	if p[0]>>4 == 4 {
		return p[12:20]
	}
	return p[8:40]
}

// Src returns the source address of a packet that Parse accepted.
func Src(p []byte) netip.Addr {
	if p[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(p[12:16]))
	}
	return netip.AddrFrom16([16]byte(p[8:24]))
}

// Dst returns the destination address of a packet that Parse accepted.
func Dst(p []byte) netip.Addr {
	if p[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(p[16:20]))
	}
	return netip.AddrFrom16([16]byte(p[24:40]))
}

// DontFragment reports whether routers may not fragment the packet: always
// for IPv6.
func DontFragment(p []byte) bool { return p[0]>>4 == 6 || p[6]&0x40 != 0 }

// DecrementHop takes one from the TTL or hop limit of a packet that Parse
// accepted; false if the packet has used up its hops and must be dropped.
func DecrementHop(p []byte) bool {
	if p[0]>>4 == 6 {
		if p[7] <= 1 {
			return false
		}
		p[7]--
		return true
	}
	if p[8] <= 1 {
		return false
	}
	old := binary.BigEndian.Uint16(p[8:])
	p[8]--
	sum := binary.BigEndian.Uint16(p[10:])
	binary.BigEndian.PutUint16(p[10:], updateSum(sum, old, binary.BigEndian.Uint16(p[8:])))
	return true
}
