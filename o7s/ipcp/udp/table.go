// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"crypto/rand"
	"encoding/binary"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// buckets of the flow table, a power of two: 64 KiB of pointers, and
	// chains of one or two flows when there are 10 000.
	buckets = 8192

	// quarantine is how long an EID is not used again (UDP-6): the default
	// peer timeout, after which the peer of the old flow sends no more.
	quarantine = 2 * time.Minute
	// maxQuarantine bounds the memory for that; the oldest go first.
	maxQuarantine = 1 << 17
)

// flowTable finds flows by their EID. Looking up takes no lock: a bucket is a
// list that readers may walk while it changes, since a removed flow keeps its
// pointer to the rest. The zero value is ready.
type flowTable struct {
	heads [buckets]atomic.Pointer[flow]

	mu      sync.Mutex // guards changes, and what follows
	count   int
	remotes map[remote]*flow    // flows that are up, by what the peer calls them
	resting map[uint32]struct{} // EIDs in quarantine
	queue   []rest              // in order of until
	gone    int                 // of queue, already removed
}

// remote is the other end of a flow: datagrams that we send there enter it.
type remote struct {
	at  endpoint
	eid uint32
}

type rest struct {
	eid   uint32
	until time.Time
}

// get returns the flow, nil if there is none.
func (t *flowTable) get(eid uint32) *flow {
	f := t.heads[eid%buckets].Load()
	for f != nil && f.eid != eid {
		f = f.next.Load()
	}
	return f
}

// add gives the flow an unpredictable EID in 1…0x7FFFFFFF that no flow has or
// had lately, and makes it findable.
func (t *flowTable) add(f *flow, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wakeLocked(now)
	for {
		var r [4]byte
		rand.Read(r[:]) // never fails
		eid := binary.NativeEndian.Uint32(r[:]) & 0x7FFFFFFF
		if _, resting := t.resting[eid]; resting || eid == manageEID || t.get(eid) != nil {
			continue
		}
		f.eid = eid
		head := &t.heads[eid%buckets]
		f.next.Store(head.Load())
		head.Store(f)
		t.count++
		return
	}
}

// remove takes the flow out and puts its EID into quarantine.
func (t *flowTable) remove(f *flow, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	link := &t.heads[f.eid%buckets]
	for {
		g := link.Load()
		if g == nil {
			return
		}
		if g == f {
			break
		}
		link = &g.next
	}
	link.Store(f.next.Load())
	t.count--
	if r := f.remoteEnd(); t.remotes[r] == f {
		delete(t.remotes, r)
	}
	if t.resting == nil {
		t.resting = make(map[uint32]struct{})
	}
	t.resting[f.eid] = struct{}{}
	t.queue = append(t.queue, rest{f.eid, now.Add(quarantine)})
	t.wakeLocked(now)
}

// claim enters what the peer calls the flow, and returns the flow of which
// that was true before. Since the peer has given its EID to the new flow, the
// old one has ended there (C uses EIDs again at once, and tells nobody); what
// is sent on it would now enter the new flow.
func (t *flowTable) claim(f *flow) (old *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.remotes == nil {
		t.remotes = make(map[remote]*flow)
	}
	r := f.remoteEnd()
	old = t.remotes[r]
	t.remotes[r] = f
	return old
}

// byRemote returns the flow whose other end that is, nil if there is none.
func (t *flowTable) byRemote(r remote) *flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.remotes[r]
}

// wakeLocked ends the quarantine of those whose time has come, or that are
// too many.
func (t *flowTable) wakeLocked(now time.Time) {
	for t.gone < len(t.queue) && (now.After(t.queue[t.gone].until) || len(t.resting) > maxQuarantine) {
		delete(t.resting, t.queue[t.gone].eid)
		t.gone++
	}
	if t.gone > len(t.queue)/2 {
		t.queue = append(t.queue[:0], t.queue[t.gone:]...)
		t.gone = 0
	}
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
		for i := range t.heads {
			for f := t.heads[i].Load(); f != nil; f = f.next.Load() {
				if !yield(f) {
					return
				}
			}
		}
	}
}
