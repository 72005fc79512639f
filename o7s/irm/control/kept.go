// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"sync"
	"time"

	"o7gw/o7s/ring"
)

// A ring between an application and the daemon may serve one flow after the other:
// the application keeps it when it has closed its side and offers it, by the request
// that it came with, in the next request for a flow. If the daemon has kept its
// side as well, the new flow gets that ring; else each side gives its part back.
// Neither may look at the ring meanwhile: the daemon because its flow has ended, the
// application because it said so.

const (
	// maxKept is how many rings one side of a connection keeps.
	maxKept = 32
	// keptTime is how long it does, about.
	keptTime = time.Second
)

// keptRings are rings for further flows.
type keptRings struct {
	mu     sync.Mutex
	list   []keptRing // oldest first; guarded by mu, as are the rest
	timer  *time.Timer
	closed bool
	share  *keptShare // of all connections; nil: no limit
}

type keptRing struct {
	request uint64
	k       *ring.Kept
	since   time.Time
}

// keptShare bounds what all connections of a daemon keep together.
type keptShare struct {
	mu   sync.Mutex
	left int // guarded by mu
}

func (s *keptShare) take() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return false
	}
	s.left--
	return true
}

func (s *keptShare) give() {
	if s != nil {
		s.mu.Lock()
		s.left++
		s.mu.Unlock()
	}
}

// put keeps the ring of a request, or gives it back.
func (r *keptRings) put(request uint64, k *ring.Kept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.list) >= maxKept || !r.share.take() {
		k.Close()
		return
	}
	r.list = append(r.list, keptRing{request, k, time.Now()})
	switch {
	case r.timer == nil:
		r.timer = time.AfterFunc(keptTime, r.expire)
	case len(r.list) == 1:
		r.timer.Reset(keptTime)
	}
}

// oldest takes a ring; request is 0 if there is none.
func (r *keptRings) oldest() (request uint64, k *ring.Kept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 {
		return 0, nil
	}
	first := r.list[0]
	r.removeLocked(0)
	return first.request, first.k
}

// take takes the ring of the request, nil if it is not there, or there is no request.
func (r *keptRings) take(request uint64) *ring.Kept {
	if request == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range r.list {
		if e.request == request {
			r.removeLocked(i)
			return e.k
		}
	}
	return nil
}

func (r *keptRings) removeLocked(i int) {
	copy(r.list[i:], r.list[i+1:])
	r.list[len(r.list)-1] = keptRing{}
	r.list = r.list[:len(r.list)-1]
	r.share.give()
}

// expire gives back what was not needed.
func (r *keptRings) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.list) > 0 && time.Since(r.list[0].since) >= keptTime {
		r.list[0].k.Close()
		r.removeLocked(0)
	}
	if len(r.list) > 0 {
		r.timer.Reset(keptTime)
	}
}

// close gives everything back, and from now on at once.
func (r *keptRings) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	for len(r.list) > 0 {
		r.list[0].k.Close()
		r.removeLocked(0)
	}
}
