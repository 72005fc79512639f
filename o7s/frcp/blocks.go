// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"encoding/binary"
	"errors"
	"time"
)

// Layout of the acknowledgement blocks behind a header with EXT and without
// DATA (docs/extensions.md §10.2).
const (
	blocksVersion = 1
	blocksFixed   = 8  // version, count, duplicates, delay
	maxBlocks     = 32 // blocks in one packet
)

// block is a run of packets, from first up to but not including end.
type block struct{ first, end uint32 }

// report is what a pure acknowledgement tells beyond its header.
type report struct {
	dups   uint16        // duplicates received so far, modulo 2^16
	delay  time.Duration // between the newest packet and this report
	blocks []block       // received out of order
}

var errBlocks = errors.New("frcp: malformed acknowledgement blocks")

// parseReport reads the bytes behind the header. The blocks are appended to
// room. Bytes behind the last block are ignored.
func parseReport(b []byte, room []block) (report, int, error) {
	if len(b) < blocksFixed || b[0] != blocksVersion {
		return report{}, 0, errBlocks
	}
	n := int(b[1])
	size := blocksFixed + 8*n
	if n > maxBlocks || len(b) < size {
		return report{}, 0, errBlocks
	}
	r := report{
		dups:   binary.BigEndian.Uint16(b[2:]),
		delay:  time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Microsecond,
		blocks: room,
	}
	for p := b[blocksFixed:size]; len(p) > 0; p = p[8:] {
		bl := block{binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])}
		if !before(bl.first, bl.end) {
			return report{}, 0, errBlocks
		}
		r.blocks = append(r.blocks, bl)
	}
	return r, size, nil
}

// append appends the encoded report to b; at most maxBlocks blocks.
func (r *report) append(b []byte) []byte {
	b = append(b, blocksVersion, byte(len(r.blocks)))
	b = binary.BigEndian.AppendUint16(b, r.dups)
	b = binary.BigEndian.AppendUint32(b, uint32(min(r.delay/time.Microsecond, 1<<32-1)))
	for _, bl := range r.blocks {
		b = binary.BigEndian.AppendUint32(b, bl.first)
		b = binary.BigEndian.AppendUint32(b, bl.end)
	}
	return b
}
