// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"context"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// allocateLimit is how long the answer to a flow request is waited for, as
// in the prototype.
const allocateLimit = 20 * time.Second

// answer is the answer to a flow request.
type answer struct {
	code layer.Errno // 0: accepted
	data []byte
}

// allocate sends one flow request and waits for its answer.
func (p *IPCP) allocate(ctx context.Context, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, allocateLimit)
	defer cancel()
	there, err := p.find(ctx, dst)
	if err != nil {
		return nil, nil, err
	}
	data = append([]byte(nil), data...)

	n := p.station.link.net
	n.mu.Lock()
	q := p.station.newPortLocked()
	if way := p.station.ways[there]; way != nil {
		way.callLocked(len(dst)+len(data), func() { there.ipcp.requested(q, dst, qs, data) })
	}
	n.armLocked()
	n.mu.Unlock()

	var a answer
	select {
	case a = <-q.answer:
	case <-ctx.Done():
		if q.done.Swap(true) { // answered in the same moment
			a = <-q.answer
		} else {
			a.code = layer.ErrTimedOut
		}
	}
	if a.code != 0 {
		p.distrust(dst)
		q.Close()
		return nil, nil, a.code
	}
	return q, a.data, nil
}

// requested handles a flow request by the port from at another station.
func (p *IPCP) requested(from *port, dst layer.Hash, qs qos.Spec, data []byte) {
	r := &request{ipcp: p, from: from}
	if p.State() != ipcp.Operational || !p.names.Has(dst) {
		r.Refuse(layer.ErrNoName)
		return
	}
	p.Upper().FlowRequested(&layer.Request{Dst: dst, QoS: qs, Data: data, Answerer: r})
}

// request is a flow request that was received.
type request struct {
	ipcp *IPCP
	from *port
	done atomic.Bool
}

// Accept implements layer.Answerer.
func (r *request) Accept(data []byte) (layer.Port, error) {
	if r.done.Swap(true) {
		return nil, layer.ErrNotAllocated
	}
	s := r.ipcp.station
	n := s.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.gone {
		return nil, layer.ErrIPCPState
	}
	q := s.newPortLocked()
	q.peer = r.from
	r.replyLocked(q, answer{data: append([]byte(nil), data...)})
	return q, nil
}

// Refuse implements layer.Answerer.
func (r *request) Refuse(code layer.Errno) {
	if r.done.Swap(true) {
		return
	}
	if code == 0 { // a refusal without a reason is still one
		code = layer.ErrIPCP
	}
	n := r.ipcp.station.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	r.replyLocked(nil, answer{code: code})
}

// Ignore implements layer.Answerer.
func (r *request) Ignore() { r.done.Store(true) }

// replyLocked sends the answer, with the port of this side if it is positive.
// net.mu is held.
func (r *request) replyLocked(q *port, a answer) {
	s := r.ipcp.station
	if way := s.ways[r.from.station]; way != nil {
		way.callLocked(len(a.data), func() { r.from.answered(q, a) })
	}
	s.link.net.armLocked()
}

// answered takes the answer to the request of p.
func (p *port) answered(peer *port, a answer) {
	n := p.station.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.done.Swap(true) {
		if peer != nil { // too late: nobody wants this flow any more
			p.noticeLocked(peer)
			n.armLocked()
		}
		return
	}
	p.peer = peer
	p.answer <- a
}
