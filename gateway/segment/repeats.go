// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"math/rand/v2"
	"sync/atomic"
)

// remembered is how many frames the repeats filter remembers: of one member
// the last so many, 0.3 s of 100 000 frames/s.
const remembered = 1 << 15

// repeats recognises frames that were here before: those that a loop brings
// back, and the copies that come over several ways. It is a table of
// fingerprints of member and sequence number, where successive frames of a
// member have successive places; a fingerprint is forgotten when another takes
// its place. All methods may be called from several goroutines.
type repeats struct {
	secret [2]uint64 // nobody shall find colliding numbers
	seen   [remembered]atomic.Uint64
}

func newRepeats() *repeats {
	return &repeats{secret: [2]uint64{rand.Uint64(), rand.Uint64()}}
}

// mix spreads the bits of x over all bits (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

func (r *repeats) place(id uint64, seq uint32) (slot *atomic.Uint64, fingerprint uint64) {
	h := mix(id ^ r.secret[0])
	return &r.seen[(uint32(h)+seq)%remembered], mix(h+uint64(seq)*0x9e3779b97f4a7c15^r.secret[1]) | 1
}

// first records the frame and reports whether it is new.
func (r *repeats) first(id uint64, seq uint32) bool {
	slot, fp := r.place(id, seq)
	return slot.Swap(fp) != fp
}

// known reports whether the frame was recorded.
func (r *repeats) known(id uint64, seq uint32) bool {
	slot, fp := r.place(id, seq)
	return slot.Load() == fp
}
