// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
)

const (
	// quarantine is how long an endpoint id is not used again while others
	// are left: the default peer timeout, after which the peer of the old
	// flow sends no more. There are too few to insist on it.
	quarantine = 2 * time.Minute
	// minQuarantine is how long it is not used again in any case: some
	// packet lifetimes.
	minQuarantine = 10 * MPL
	// choice is among how many ids a new one is chosen at random: the
	// highest that are free. C nodes, which may act upon frames for others,
	// count from the bottom (spec 60 §3.1).
	choice = 1024
)

// flowTable finds flows by their endpoint id. Looking up takes no lock.
type flowTable struct {
	first, last uint16 // ids that may be used
	flows       [lastEID + 1]atomic.Pointer[flow]

	mu      sync.Mutex // guards changes, and what follows
	count   int
	freed   [lastEID + 1]time.Time // when the flow ended; zero: never used
	remotes map[remote]*flow       // flows that are up, by what the peer calls them
}

// remote is the other end of a flow: frames that we send there enter it.
type remote struct {
	at  mac
	eid uint16
}

// get returns the flow, nil if there is none (ETH-3, ETH-4).
func (t *flowTable) get(id uint16) *flow {
	if int(id) >= len(t.flows) {
		return nil
	}
	return t.flows[id].Load()
}

// add gives the flow an endpoint id and makes it findable.
func (t *flowTable) add(f *flow, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := t.pickLocked(now)
	if id == 0 {
		return fmt.Errorf("all %d endpoint ids are in use, or were a moment ago: %w", t.last-t.first+1, layer.ErrNoMemory)
	}
	f.eid = id
	t.flows[id].Store(f)
	t.count++
	return nil
}

// pickLocked returns an id that no flow has: an unpredictable one of the
// highest that rested long enough, else the one that rested longest. 0: none.
func (t *flowTable) pickLocked(now time.Time) uint16 {
	var rested [choice]uint16
	n, oldest := 0, uint16(0)
	for id := t.last; id >= t.first && n < len(rested); id-- {
		switch rest := now.Sub(t.freed[id]); {
		case t.flows[id].Load() != nil || rest < minQuarantine:
		case rest >= quarantine:
			rested[n] = id
			n++
		case oldest == 0 || t.freed[id].Before(t.freed[oldest]):
			oldest = id
		}
	}
	if n == 0 {
		return oldest
	}
	var r [4]byte
	rand.Read(r[:]) // never fails
	return rested[int(binary.NativeEndian.Uint32(r[:])%uint32(n))]
}

// remove takes the flow out; its id rests.
func (t *flowTable) remove(f *flow, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.flows[f.eid].CompareAndSwap(f, nil) {
		return
	}
	t.count--
	t.freed[f.eid] = now
	if r := f.remoteEnd(); t.remotes[r] == f {
		delete(t.remotes, r)
	}
}

// claim enters what the peer calls the flow, and returns the flow of which
// that was true before. Since the peer has given its endpoint to the new flow,
// the old one has ended there (C uses ids again at once, and tells nobody);
// what is sent on it would now enter the new flow.
func (t *flowTable) claim(f *flow) (old *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flows[f.eid].Load() != f {
		return nil // ended this very moment
	}
	if t.remotes == nil {
		t.remotes = make(map[remote]*flow)
	}
	r := f.remoteEnd()
	old = t.remotes[r]
	t.remotes[r] = f
	return old
}

// len returns the number of flows.
func (t *flowTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// all yields the flows. Those that come or go meanwhile may be missed.
func (t *flowTable) all() iter.Seq[*flow] {
	return func(yield func(*flow) bool) {
		for i := range t.flows {
			if f := t.flows[i].Load(); f != nil && !yield(f) {
				return
			}
		}
	}
}
