// SPDX-License-Identifier: BSD-3-Clause

// Package ip reads and rewrites raw IPv4 and IPv6 packets as a tunnel needs
// it: addresses, hop limit, MSS clamp (RFC 4459 §3.2), fragmentation (RFC 791)
// and the ICMP errors that a router owes a sender (RFC 792, 1191, 4443, 8201).
//
// Start with Parse, which checks everything that the other functions rely on.
// Nothing here does I/O or keeps state.
package ip

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds b to the ones' complement sum acc and returns the new sum, not
// folded. Words are summed in little-endian order, whatever the machine; Fold
// turns the result into wire order. All pieces of one sum but the last must
// have even length.
func Sum(b []byte, acc uint64) uint64 {
	var c uint64
	for len(b) >= 64 {
		_ = b[63]
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[0:]), 0)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[8:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[16:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[24:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[32:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[40:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[48:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[56:]), c)
		acc += c
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		acc += c
		b = b[8:]
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(tail[:]), 0)
		acc += c
	}
	return acc
}

// Fold reduces a sum to the 16 bits of the Internet checksum, not
// complemented, as a number in host order: store it big-endian.
func Fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return bits.ReverseBytes16(uint16(acc))
}

// PseudoSum returns the sum of the pseudo header of an upper-layer packet of
// length n bytes with the protocol number proto (RFC 9293 §3.1, RFC 8200
// §8.1); addrs is the source and the destination address as they stand in the
// header, 8 or 32 bytes.
func PseudoSum(addrs []byte, proto uint8, n int) uint64 {
	var rest [8]byte
	binary.BigEndian.PutUint32(rest[0:], uint32(n))
	rest[7] = proto
	return Sum(rest[:], Sum(addrs, 0))
}

// updateSum returns the checksum field sum after a 16-bit word changed from
// old to new (RFC 1624).
func updateSum(sum, old, new uint16) uint16 {
	s := uint32(^sum) + uint32(^old) + uint32(new)
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return ^uint16(s)
}
