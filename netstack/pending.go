// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// evictable is how long an undecided request is safe from others that want its
// place: longer than a service needs to answer.
const evictable = 200 * time.Millisecond

// pending is the connection attempts that are not decided, or whose handshake
// is not complete.
type pending struct {
	mu       sync.Mutex
	all      map[stack.TransportEndpointID]*TCPRequest
	waiting  queue // for a decision
	answered queue // for the client
	evicted  int   // in all, and not done
}

// queue is requests, oldest first; some have left it.
type queue struct {
	list []*TCPRequest
	left int // in list
}

// in reports whether a request is in the queue.
func (q *queue) in(r *TCPRequest) bool { return r.in == q }

func (q *queue) push(r *TCPRequest) {
	if len(q.list) > 2*(len(q.list)-q.left)+64 {
		kept := q.list[:0]
		for _, o := range q.list {
			if q.in(o) {
				kept = append(kept, o)
			}
		}
		clear(q.list[len(kept):])
		q.list, q.left = kept, 0
	}
	r.in = q
	q.list = append(q.list, r)
}

// oldest returns the first that is in the queue, or nil.
func (q *queue) oldest() *TCPRequest {
	for len(q.list) > 0 {
		if r := q.list[0]; q.in(r) {
			return r
		}
		q.list[0] = nil
		q.list = q.list[1:]
		q.left--
	}
	return nil
}

// leaveLocked takes a request out of its queue.
func (r *TCPRequest) leaveLocked() {
	if r.in != nil {
		r.in.left++
		r.in = nil
	}
}

func (p *pending) get(id stack.TransportEndpointID) *TCPRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[id]
}

func (p *pending) addLocked(r *TCPRequest) {
	if p.all == nil {
		p.all = map[stack.TransportEndpointID]*TCPRequest{}
	}
	p.all[r.id] = r
	p.waiting.push(r)
}

// evictLocked chooses a request to make room for a new one: the oldest whose
// client has not answered the SYN-ACK, as none does in a flood; those that
// exist answer faster than a flood comes round. Or the oldest undecided one, if
// it had its time. nil: there is none.
func (p *pending) evictLocked(now tcpip.MonotonicTime) *TCPRequest {
	if p.evicted > len(p.all)/2 {
		return nil // whoever decides about them does not notice; work stays bounded
	}
	r := p.answered.oldest()
	if r == nil {
		if r = p.waiting.oldest(); r == nil || now.Sub(r.since) < evictable {
			return nil
		}
	}
	r.leaveLocked()
	r.evicted = true
	p.evicted++
	return r
}

// answer notes that the handshake has begun.
func (p *pending) answer(r *TCPRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.answered = true
	if r.in != nil {
		r.leaveLocked()
		p.answered.push(r)
	}
	r.silence.Reset(handshakeTime)
}

// remove forgets a request, and reports whether it was evicted.
func (p *pending) remove(r *TCPRequest) (evicted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.leaveLocked()
	delete(p.all, r.id)
	if r.evicted {
		p.evicted--
	}
	return r.evicted
}
