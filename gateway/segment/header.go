// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"encoding/binary"
	"errors"
)

// The header of a packet (docs/segment.md).
const (
	headerLen   = 16 // bytes
	fragmentLen = 18 // bytes of the header of a fragment
	magic       = 0xE1
	typeFrame   = 1
	typeHello   = 2

	// maxHops is how many switches may relay a frame: what the repeats filter
	// has forgotten dies by this.
	maxHops = 15
	// maxFragments is the largest number of fragments of a frame: as many as a
	// word has bits, and enough for a frame of 64 KiB over flows of 1100 bytes.
	maxFragments = 64
)

// header is what stands in front of a frame or a fragment of one.
type header struct {
	typ   uint8
	hops  uint8 // switches that have relayed the frame
	index uint8 // of the fragment
	count uint8 // fragments of the frame, 1: it is whole
	seq   uint32
	id    uint64 // of the member at which the frame entered; not 0
	total int    // bytes of the whole frame, if count > 1
}

var (
	errForeign = errors.New("no packet of a segment, or of another version")
	errHeader  = errors.New("malformed header")
)

// parseHeader reads a header and returns its length in bytes.
func parseHeader(b []byte) (h header, n int, err error) {
	if len(b) < headerLen || b[0] != magic {
		return h, 0, errForeign
	}
	h = header{
		typ: b[1] >> 4, hops: b[1] & 0x0F, index: b[2], count: b[3],
		seq: binary.BigEndian.Uint32(b[4:]), id: binary.BigEndian.Uint64(b[8:]),
	}
	if h.id == 0 {
		return h, 0, errHeader
	}
	if h.typ != typeFrame {
		return h, headerLen, nil
	}
	switch {
	case h.count == 1 && h.index == 0:
		return h, headerLen, nil
	case h.count < 2 || h.count > maxFragments || h.index >= h.count || len(b) < fragmentLen:
		return h, 0, errHeader
	}
	h.total = int(binary.BigEndian.Uint16(b[headerLen:]))
	return h, fragmentLen, nil
}

// put writes the header into b, which has headerLen bytes, or fragmentLen if
// there are several fragments.
func (h *header) put(b []byte) {
	b[0], b[1], b[2], b[3] = magic, h.typ<<4|h.hops, h.index, h.count
	binary.BigEndian.PutUint32(b[4:], h.seq)
	binary.BigEndian.PutUint64(b[8:], h.id)
	if h.count > 1 {
		binary.BigEndian.PutUint16(b[headerLen:], uint16(h.total))
	}
}
