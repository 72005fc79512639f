// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// repeatWindow is for how long, in ms, a packet is known as a repeat of an equal
	// one from another neighbour. It must be longer than packets travel through
	// the layer, and short since different members may say the same.
	repeatWindow = 500
	// Equal packets of that time are found if there were not more than some
	// 30 000 packets; 512 KiB.
	repeatSets = 4096
	repeatWays = 8
)

// repeats recognises packets that come again by another way, which happens when
// the connections of the layer form a cycle. Nothing in a packet says who sent it
// (spec 10 §9.1), so an equal packet is the same packet, unless it comes from the
// same neighbour: applications may say the same again.
//
// The neighbour that brings a content first is its source until it has not
// brought it for repeatWindow; equal packets of others are repeats. So the ways of
// one content form a tree with the sender as its root, as long as packets do not travel
// for longer than that: a member becomes the child of one that had the packet before
// it, and changes its source only when nothing that it sent on can be under way
// any more. Hence nothing goes round.
type repeats struct {
	seed  maphash.Seed
	start time.Time

	mu   sync.Mutex // held once per batch
	sets *[repeatSets][repeatWays]sighting
}

// sighting is a content and who brought it last. The zero value is a free
// place.
type sighting struct {
	sum    uint64
	source uint32 // id of the neighbour
	at     uint32 // see check
}

func newRepeats() *repeats { return &repeats{seed: maphash.MakeSeed(), start: time.Now()} }

// sum identifies the content of a packet. The seed is secret, so nobody can
// make two that count as equal.
func (r *repeats) sum(p []byte) uint64 { return maphash.Bytes(r.seed, p) }

// check notes packets of a neighbour, and says which ones are no repeats. With
// all, none counts as a repeat.
func (r *repeats) check(sums []uint64, pass []bool, source uint32, all bool) {
	if len(sums) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Under mu, so that it does not run backwards: ms, starting again from 0 after 49 days,
	// which matters to nobody but a content that was not seen since then.
	r.checkLocked(sums, pass, source, all, uint32(time.Since(r.start).Milliseconds()))
}

func (r *repeats) checkLocked(sums []uint64, pass []bool, source uint32, all bool, now uint32) {
	if r.sets == nil {
		r.sets = new([repeatSets][repeatWays]sighting)
	}
	for i, sum := range sums {
		s := r.findLocked(sum, now)
		switch {
		case s.source == 0 || now-s.at >= repeatWindow:
			*s = sighting{sum, source, now}
			pass[i] = true
		case s.source == source || all:
			s.at = now
			pass[i] = true
		default:
			pass[i] = false
		}
	}
}

// findLocked returns the sighting of a content; if there is none, a free one
// or the oldest of its set, cleared.
func (r *repeats) findLocked(sum uint64, now uint32) *sighting {
	set := &r.sets[sum%repeatSets]
	oldest := &set[0]
	for i := range set {
		s := &set[i]
		switch {
		case s.source == 0:
			return s
		case s.sum == sum:
			return s
		case now-s.at > now-oldest.at:
			oldest = s
		}
	}
	*oldest = sighting{}
	return oldest
}
