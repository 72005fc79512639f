// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// answerWait is how long the answer to a flow request is waited for.
const answerWait = 2 * time.Second

// answer is the answer to a flow request.
type answer struct {
	code layer.Errno // 0: accepted
	data []byte
}

// allocate sends one flow request and waits for its answer.
func (p *IPCP) allocate(ctx context.Context, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	there, err := p.find(ctx, dst)
	if err != nil {
		return nil, nil, err
	}
	data = append([]byte(nil), data...)

	n := p.station.link.net
	n.mu.Lock()
	q := p.station.newPortLocked(qs.Cube())
	if way := p.station.ways[there]; way != nil {
		way.callLocked(q.cube, len(dst)+len(data), func() { there.ipcp.requested(q, dst, qs, data) })
	}
	n.armLocked()
	n.mu.Unlock()

	a, err := q.await(ctx)
	if err == nil && a.code != 0 {
		err = a.code
	}
	if err != nil {
		p.distrust(dst)
		q.Close()
		return nil, nil, err
	}
	return q, a.data, nil
}

// await waits for the answer to the request of p, or gives the request up.
func (p *port) await(ctx context.Context) (a answer, err error) {
	patience := time.NewTimer(answerWait)
	defer patience.Stop()
	select {
	case a = <-p.answer:
		return a, nil
	case <-patience.C:
		err = layer.ErrNoAnswer
	case <-ctx.Done():
		if err = ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
			err = layer.ErrTimedOut
		}
	}
	if p.done.Swap(true) { // answered in the same moment
		return <-p.answer, nil
	}
	return a, err
}

// requested handles a flow request by the port from at another station.
func (p *IPCP) requested(from *port, dst layer.Hash, qs qos.Spec, data []byte) {
	r := &request{ipcp: p, from: from, cube: qs.Cube()}
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
	cube qos.Cube
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
	q := s.newPortLocked(r.cube)
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
		way.callLocked(r.cube, len(a.data), func() { r.from.answered(q, a) })
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
