// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"encoding/binary"
	"errors"
)

// lsaSize is the length of an announcement in bytes: destination, source,
// sequence number, big-endian (spec 20 §8.2).
const lsaSize = 24

// maxSeqno is the highest sequence number that is believed. A link that
// announces itself each second takes longer to get there than anybody waits; and
// its source can always go above.
const maxSeqno = 1 << 63

// link is a directed link.
type link struct{ dst, src uint64 }

// record says about a link what was true when the source gave the number: it
// is there, or it is not. Of two records the higher number counts.
type record struct {
	link
	seqno uint64
	gone  bool // withdrawn
}

var (
	errLength = errors.New("link state record has a wrong length")
	errRecord = errors.New("link state record is invalid")
)

// valid refuses what no member sends: the address 0, a link to itself, a
// number out of reach.
func (r record) valid() bool {
	return r.src != 0 && r.dst != 0 && r.src != r.dst && r.seqno <= maxSeqno
}

// newer says whether r counts, and not o, which is about the same link. Numbers
// are given once, but by a source that has forgotten them.
func (r record) newer(o record) bool {
	return r.seqno > o.seqno || r.seqno == o.seqno && r.gone && !o.gone
}

// parseLSA reads an announcement from the beginning of b.
func parseLSA(b []byte) (r record, n int, err error) {
	if len(b) < lsaSize {
		return r, 0, errLength
	}
	r.dst = binary.BigEndian.Uint64(b)
	r.src = binary.BigEndian.Uint64(b[8:])
	r.seqno = binary.BigEndian.Uint64(b[16:])
	if !r.valid() {
		return r, 0, errRecord
	}
	return r, lsaSize, nil
}

// appendLSA appends the announcement of the link of r.
func (r record) appendLSA(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.dst)
	b = binary.BigEndian.AppendUint64(b, r.src)
	return binary.BigEndian.AppendUint64(b, r.seqno)
}
