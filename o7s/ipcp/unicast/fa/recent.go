// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// memory is how long a request is remembered: longer than its requester
	// repeats it, and the network keeps it.
	memory = 5 * time.Second
	// maxRecent bounds how many are; the oldest go first.
	maxRecent = 2 * maxWaiting
)

// requester is the requester's end of a flow. No two requests have the same.
type requester struct{ addr, eid uint64 }

// recent are the requests that came lately, so that a copy is known. The zero
// value is ready.
type recent struct {
	waiting atomic.Int64 // not answered yet

	mu    sync.Mutex
	seen  map[requester]*answer // guarded by mu, as is the rest
	queue []*answer             // in order of arrival
	gone  int                   // of queue, already forgotten
}

// note remembers a request, or returns the one that it is a copy of.
func (r *recent) note(w *answer) (first *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(w.arrived)
	if first = r.seen[w.from]; first != nil {
		return first
	}
	if r.seen == nil {
		r.seen = make(map[requester]*answer)
	}
	r.seen[w.from] = w
	r.queue = append(r.queue, w)
	return nil
}

// forgetLocked forgets what is old, or too much.
func (r *recent) forgetLocked(now time.Time) {
	for r.gone < len(r.queue) && (now.Sub(r.queue[r.gone].arrived) > memory || len(r.seen) >= maxRecent) {
		delete(r.seen, r.queue[r.gone].from)
		r.queue[r.gone] = nil
		r.gone++
	}
	if r.gone > len(r.queue)/2 {
		n := copy(r.queue, r.queue[r.gone:])
		clear(r.queue[n:])
		r.queue, r.gone = r.queue[:n], 0
	}
}
