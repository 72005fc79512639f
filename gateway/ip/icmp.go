// SPDX-License-Identifier: BSD-3-Clause

package ip

import (
	"encoding/binary"
	"net/netip"
)

// Reason says which ICMP error to send.
type Reason uint8

const (
	// TooBig: the packet exceeds the MTU of the next hop.
	TooBig Reason = iota
	// NoRoute: nobody announced the destination.
	NoRoute
	// HopsExceeded: the TTL or hop limit ran out.
	HopsExceeded
)

// types gives type and code per reason.
var types4 = [...][2]byte{TooBig: {3, 4}, NoRoute: {3, 0}, HopsExceeded: {11, 0}}
var types6 = [...][2]byte{TooBig: {2, 0}, NoRoute: {1, 0}, HopsExceeded: {3, 0}}

const (
	icmpLen = 8
	// quote4 is how many bytes of the packet an ICMPv4 error quotes: as many
	// as fit the 576 bytes that every host takes (RFC 1812 §4.3.2.3).
	quote4 = 576 - IPv4Len - icmpLen
	// quote6 is the same for ICMPv6 (RFC 4443 §2.4).
	quote6 = MinMTU6 - IPv6Len - icmpLen
	// errorHops is the TTL or hop limit of the errors.
	errorHops = 64
	// classNetControl is the traffic class of ICMP errors: precedence 6 (RFC
	// 1812 §4.3.2.5).
	classNetControl = 0xc0
)

// AppendError appends the ICMP error that a router with address src owes the
// sender of p, whose header is h, and returns the longer slice. mtu counts
// only for TooBig. It appends nothing where RFC 1122 §3.2.2 and RFC 4443 §2.4
// (e) forbid an error: for errors, later fragments, multicast and unspecified
// addresses; nor if src is not of p's family.
func AppendError(dst, p []byte, h Header, r Reason, src netip.Addr, mtu int) []byte {
	if !mayAnswer(p, h) || src.Is4() != (h.Version == 4) || !src.IsValid() {
		return dst
	}
	if h.Version == 4 {
		return appendError4(dst, p[:h.Total], types4[r], src, mtu)
	}
	return appendError6(dst, p[:h.Total], types6[r], src, mtu)
}

func mayAnswer(p []byte, h Header) bool {
	from, to := Src(p), Dst(p)
	if !h.First || from.IsUnspecified() || from.IsMulticast() || to.IsMulticast() {
		return false
	}
	if h.Version == 4 {
		if from.As4()[0] >= 240 || to.As4()[0] >= 240 {
			return false
		}
		if h.Proto == ICMP {
			// Only queries may be answered.
			return h.Total > h.Len && isQuery4(p[h.Len])
		}
		return true
	}
	if h.Proto == ICMPv6 {
		return h.Total > h.Len && p[h.Len]&0x80 != 0
	}
	return true
}

// isQuery4 tells the informational ICMP types: echo, timestamp, and so on.
func isQuery4(t byte) bool {
	switch t {
	case 0, 8, 9, 10, 13, 14, 15, 16, 17, 18:
		return true
	}
	return false
}

func appendError4(dst, p []byte, typ [2]byte, src netip.Addr, mtu int) []byte {
	quote := p[:min(len(p), quote4)]
	n := len(dst)
	dst = append(dst, make([]byte, IPv4Len+icmpLen)...)
	dst = append(dst, quote...)
	b := dst[n:]
	b[0], b[1] = 0x45, classNetControl
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[8], b[9] = errorHops, ICMP
	from := src.As4()
	copy(b[12:], from[:])
	copy(b[16:20], p[12:16])
	binary.BigEndian.PutUint16(b[10:], ^Fold(Sum(b[:IPv4Len], 0)))
	m := b[IPv4Len:]
	m[0], m[1] = typ[0], typ[1]
	if typ == types4[TooBig] {
		binary.BigEndian.PutUint16(m[6:], uint16(min(mtu, 0xffff)))
	}
	binary.BigEndian.PutUint16(m[2:], ^Fold(Sum(m, 0)))
	return dst
}

func appendError6(dst, p []byte, typ [2]byte, src netip.Addr, mtu int) []byte {
	quote := p[:min(len(p), quote6)]
	n := len(dst)
	dst = append(dst, make([]byte, IPv6Len+icmpLen)...)
	dst = append(dst, quote...)
	b := dst[n:]
	b[0], b[1] = 0x60|classNetControl>>4, classNetControl&15<<4
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-IPv6Len))
	b[6], b[7] = ICMPv6, errorHops
	from := src.As16()
	copy(b[8:], from[:])
	copy(b[24:40], p[8:24])
	m := b[IPv6Len:]
	m[0], m[1] = typ[0], typ[1]
	if typ == types6[TooBig] {
		binary.BigEndian.PutUint32(m[4:], uint32(mtu))
	}
	binary.BigEndian.PutUint16(m[2:], ^Fold(Sum(m, PseudoSum(Addrs(b), ICMPv6, len(m)))))
	return dst
}
