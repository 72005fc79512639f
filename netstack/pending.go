// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// evictable is how long a request is safe from others that want its place:
// longer than a service needs to answer, and its client.
const evictable = 200 * time.Millisecond

// pending is the connection attempts that are not decided, or whose handshake
// is not complete.
type pending struct {
	mu      sync.Mutex
	all     map[stack.TransportEndpointID]*TCPRequest
	order   []*TCPRequest // oldest first; some are done
	evicted int           // in all, and not done
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
	if len(p.order) > 2*len(p.all)+64 {
		kept := p.order[:0]
		for _, o := range p.order {
			if !o.done {
				kept = append(kept, o)
			}
		}
		clear(p.order[len(kept):])
		p.order = kept
	}
	p.order = append(p.order, r)
}

// evictLocked chooses the oldest request to make room for a new one: in a
// flood of SYNs without a client behind them each has its time, and the
// others get through. nil: there is none that is old enough.
func (p *pending) evictLocked(now tcpip.MonotonicTime) *TCPRequest {
	if p.evicted > len(p.all)/2 {
		return nil // whoever decides about them does not notice; work stays bounded
	}
	for len(p.order) > 0 {
		r := p.order[0]
		if !r.done && now.Sub(r.since) < evictable {
			return nil
		}
		p.order[0] = nil
		p.order = p.order[1:]
		if !r.done {
			r.evicted = true
			p.evicted++
			return r
		}
	}
	return nil
}

// answer stops the watch for repetitions: the handshake has begun.
func (p *pending) answer(r *TCPRequest) {
	p.mu.Lock()
	r.answered = true
	p.mu.Unlock()
	r.silence.Reset(handshakeTime)
}

// remove forgets a request, and reports whether it was evicted.
func (p *pending) remove(r *TCPRequest) (evicted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.done = true
	delete(p.all, r.id)
	if r.evicted {
		p.evicted--
	}
	return r.evicted
}
