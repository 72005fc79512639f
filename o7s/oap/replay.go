// SPDX-License-Identifier: BSD-3-Clause

package oap

import "time"

// A request is taken while its timestamp lies within these limits of the
// server's clock (spec 30 §6.8).
const (
	maxFuture = 100 * time.Millisecond
	maxAge    = 20 * time.Second
)

const (
	// replayMax bounds the memory of the filter: 17 MB when full.
	// 13 000 allocations per second fill it.
	replayMax = 1 << 18
	// slotShift makes slots of 2^27 ns = 134 ms: some 150 cover maxAge.
	slotShift = 27
)

type verdict uint8

const (
	fresh    verdict = iota
	seen             // same timestamp and id before
	untimely         // too old or too far in the future
	crowded          // cannot tell
)

type replayKey struct {
	timestamp uint64
	id        [IDSize]byte
}

// replayFilter remembers requests for as long as their timestamps are
// acceptable. Entries lie in slots by timestamp, so that they expire slot by
// slot. When the filter is full it gives up its oldest slot and from then on
// refuses whatever would lie there: a flood shortens the time that a request
// may take, and lets no replay through. The zero value is ready.
type replayFilter struct {
	slots map[uint64]map[replayKey]struct{}
	n     int    // entries in all slots
	floor uint64 // slots below are refused
	limit int    // 0: replayMax
}

// age returns how long ago the timestamp was, negative if it lies in the
// future. Differences beyond 292 years come out wrong, but still beyond any
// limit.
func age(now time.Time, timestamp uint64) time.Duration {
	return time.Duration(uint64(now.UnixNano()) - timestamp)
}

// check enters a request and tells what to think of it.
func (f *replayFilter) check(now time.Time, timestamp uint64, id [IDSize]byte) verdict {
	// In whole milliseconds, as the prototype counts.
	if a := age(now, timestamp).Milliseconds(); a < -maxFuture.Milliseconds() || a > maxAge.Milliseconds() {
		return untimely
	}
	slot := timestamp >> slotShift
	key := replayKey{timestamp, id}
	if _, ok := f.slots[slot][key]; ok {
		return seen
	}
	f.expire(now)
	if !f.makeRoom(slot) {
		return crowded
	}
	if f.slots == nil {
		f.slots = make(map[uint64]map[replayKey]struct{})
	}
	if f.slots[slot] == nil {
		f.slots[slot] = make(map[replayKey]struct{})
	}
	f.slots[slot][key] = struct{}{}
	f.n++
	return fresh
}

// expire forgets slots in which nothing is acceptable any more.
func (f *replayFilter) expire(now time.Time) {
	ns := now.UnixNano()
	if ns < int64(maxAge+time.Millisecond) {
		return // a clock that was never set
	}
	if f.floor > uint64(ns+int64(maxFuture))>>slotShift {
		// The clock was set back behind all that is remembered. Starting
		// anew may let a replay through; the alternative is to refuse
		// everybody until the clock has caught up.
		*f = replayFilter{limit: f.limit}
	}
	oldest := uint64(ns-int64(maxAge+time.Millisecond)) >> slotShift
	if f.floor >= oldest {
		return
	}
	for s := range f.slots {
		if s < oldest {
			f.n -= len(f.slots[s])
			delete(f.slots, s)
		}
	}
	f.floor = oldest
}

// oldestSlot returns the oldest slot in use below limit, else limit.
func (f *replayFilter) oldestSlot(limit uint64) uint64 {
	for s := range f.slots {
		limit = min(limit, s)
	}
	return limit
}

// makeRoom reports whether an entry may go into the slot.
func (f *replayFilter) makeRoom(slot uint64) bool {
	limit := f.limit
	if limit == 0 {
		limit = replayMax
	}
	if slot < f.floor {
		return false
	}
	if f.n < limit {
		return true
	}
	if oldest := f.oldestSlot(slot); oldest < slot {
		f.n -= len(f.slots[oldest])
		delete(f.slots, oldest)
		f.floor = oldest + 1
		return true
	}
	return false
}
