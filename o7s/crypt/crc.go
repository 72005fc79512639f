// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"encoding/binary"
	"hash/crc32"

	"o7gw/o7s/packet"
)

// CRCLen is the length of the CRC trailer in bytes.
const CRCLen = 4

// AppendCRC appends the CRC-32 of each packet to it (spec 30 §4.1).
func AppendCRC(pkts []*packet.Buffer) {
	for _, b := range pkts {
		sum := crc32.ChecksumIEEE(b.Bytes())
		binary.BigEndian.PutUint32(b.Extend(CRCLen), sum)
	}
}

// CheckCRC takes the trailers off. Packets whose trailer is missing or wrong
// are released; the others, in order, are returned in the same slice.
func CheckCRC(pkts []*packet.Buffer) []*packet.Buffer {
	n := 0
	for _, b := range pkts {
		if !crcFits(b) {
			b.Release()
			continue
		}
		b.TrimBack(CRCLen)
		pkts[n] = b
		n++
	}
	clear(pkts[n:])
	return pkts[:n]
}

func crcFits(b *packet.Buffer) bool {
	end := b.Len() - CRCLen
	if end < 0 {
		return false
	}
	p := b.Bytes()
	return crc32.ChecksumIEEE(p[:end]) == binary.BigEndian.Uint32(p[end:])
}
