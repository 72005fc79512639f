// SPDX-License-Identifier: BSD-3-Clause

package fa

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
	chunkLen  = 1024
	maxChunks = 256
	maxFlows  = chunkLen * maxChunks

	// quarantine is how long an index is not used again: the default peer
	// timeout, after which the peer of the old flow sends no more. The random half
	// of the EID protects the new flow anyway.
	quarantine = 2 * time.Minute
	// maxResting bounds the indices in quarantine; the oldest go first.
	maxResting = 1 << 14
)

// flowTable finds flows by their EID: 32 random bits and an index into the
// table, from 64 on. Looking up takes no lock. The zero value is ready.
type flowTable struct {
	chunks [maxChunks]atomic.Pointer[[chunkLen]atomic.Pointer[flow]]

	mu      sync.Mutex // guards changes, and what follows
	closed  bool
	count   int
	used    uint32 // indices below firstEID + used were in use
	resting []rest // in order of until
	gone    int    // of resting, already in use again
}

type rest struct {
	index uint32
	until time.Time
}

// get returns the flow, nil if there is none.
func (t *flowTable) get(eid uint64) *flow {
	i := uint32(eid)
	if i >= maxFlows {
		return nil
	}
	c := t.chunks[i/chunkLen].Load()
	if c == nil {
		return nil
	}
	f := c[i%chunkLen].Load()
	if f == nil || f.eid != eid {
		return nil
	}
	return f
}

// add gives the flow an unpredictable EID and makes it findable.
func (t *flowTable) add(f *flow, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("IPCP is closing: %w", layer.ErrIPCPState)
	}
	i, ok := t.indexLocked(now)
	if !ok {
		return fmt.Errorf("%d flows are too many: %w", t.count, layer.ErrNoMemory)
	}
	c := t.chunks[i/chunkLen].Load()
	if c == nil {
		c = new([chunkLen]atomic.Pointer[flow])
		t.chunks[i/chunkLen].Store(c)
	}
	var r [4]byte
	rand.Read(r[:]) // never fails
	f.eid = uint64(binary.NativeEndian.Uint32(r[:]))<<32 | uint64(i)
	c[i%chunkLen].Store(f)
	t.count++
	return nil
}

// indexLocked returns a free index, one that has rested if possible.
func (t *flowTable) indexLocked(now time.Time) (uint32, bool) {
	waiting := len(t.resting) - t.gone
	fresh := firstEID+t.used < maxFlows
	if waiting > 0 && (!fresh || waiting > maxResting || now.After(t.resting[t.gone].until)) {
		i := t.resting[t.gone].index
		t.gone++
		if t.gone > len(t.resting)/2 {
			t.resting = append(t.resting[:0], t.resting[t.gone:]...)
			t.gone = 0
		}
		return i, true
	}
	if !fresh {
		return 0, false
	}
	t.used++
	return firstEID + t.used - 1, true
}

// remove takes the flow out. Its index goes into quarantine.
func (t *flowTable) remove(f *flow, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := uint32(f.eid)
	if t.chunks[i/chunkLen].Load()[i%chunkLen].CompareAndSwap(f, nil) {
		t.count--
		t.resting = append(t.resting, rest{i, now.Add(quarantine)})
	}
}

// close lets no further flow in.
func (t *flowTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// len returns the number of flows.
func (t *flowTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// at returns the flow with the index, nil if there is none.
func (t *flowTable) at(i uint64) *flow {
	if i >= maxFlows {
		return nil
	}
	if c := t.chunks[i/chunkLen].Load(); c != nil {
		return c[i%chunkLen].Load()
	}
	return nil
}

// all yields the flows in order of their indices. Those that come or go
// meanwhile may be missed.
func (t *flowTable) all() iter.Seq[*flow] {
	return func(yield func(*flow) bool) {
		for i := range t.chunks {
			c := t.chunks[i].Load()
			if c == nil {
				return // they are made in order
			}
			for j := range c {
				if f := c[j].Load(); f != nil && !yield(f) {
					return
				}
			}
		}
	}
}
