// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	// replyDelay is the least time between a request and the reply toward a
	// C peer, which may not be ready for it before (spec 10 §11.1 UDP-7).
	replyDelay = time.Millisecond
	// maxWaiting is how many requests and queries may wait for their answer.
	maxWaiting = 4096
)

// answer is the layer.Answerer of one flow request. It is layer.PeerAware
// too: the IRM calls SetPeerCaps before Accept or Refuse, with what the
// requester announced. A requester that announced nothing is taken for a C
// node, and its reply is delayed. The capabilities pass on to the flow.
type answer struct {
	ipcp    *IPCP
	from    mac
	eid     uint16 // of the requester
	qos     qos.Spec
	arrived time.Time
	caps    atomic.Uint32 // layer.Caps
	done    atomic.Bool
}

var (
	_ layer.Answerer  = (*answer)(nil)
	_ layer.PeerAware = (*answer)(nil)
)

// requested hands a flow request up. It runs in the receiving goroutine.
func (p *IPCP) requested(r request, from mac) {
	if !p.framing.validRemote(r.eid) {
		p.stats.malformed.Add(1)
		return
	}
	a := &answer{ipcp: p, from: from, eid: r.eid, qos: r.qos, arrived: time.Now()}
	switch {
	case p.waiting.Add(1) > maxWaiting:
		p.waiting.Add(-1)
		p.stats.busy.Add(1)
	case !p.names.Has(r.dst):
		p.stats.unregistered.Add(1)
		a.Refuse(layer.ErrNoName)
	default:
		p.stats.requests.Add(1)
		p.Upper().FlowRequested(&layer.Request{Dst: r.dst, QoS: r.qos, Data: bytes.Clone(r.data), Answerer: a})
	}
}

// SetPeerCaps implements layer.PeerAware.
func (a *answer) SetPeerCaps(c layer.Caps) { a.caps.Store(uint32(c)) }

// Accept implements layer.Answerer. With data that does not fit into a frame,
// or no endpoint left, it refuses the request and returns an error.
func (a *answer) Accept(data []byte) (layer.Port, error) {
	p := a.ipcp
	if most := p.maxManage - p.framing.fixedLen(); len(data) > most {
		a.Refuse(layer.ErrInvalid)
		return nil, fmt.Errorf("accept: reply data has %d bytes, above %d: %w", len(data), most, layer.ErrInvalid)
	}
	f := p.newFlow(a.from, a.qos)
	f.caps.Store(a.caps.Load())
	if err := p.flows.add(f, time.Now()); err != nil {
		a.Refuse(layer.ErrNoMemory)
		return nil, fmt.Errorf("accept: %w", err)
	}
	switch {
	case a.done.Swap(true):
		p.flows.remove(f, time.Now())
		return nil, fmt.Errorf("accept: request was answered before: %w", layer.ErrInvalid)
	case !p.enter():
		p.flows.remove(f, time.Now())
		return nil, fmt.Errorf("accept: %w", layer.ErrIPCPState)
	}
	f.aim(a.eid)
	f.state.Store(up)
	f.claim()
	data = bytes.Clone(data)
	a.reply(f.cube, func() reply {
		if f.state.Load() != up { // closed while the reply was delayed
			return reply{eid: a.eid, response: -int32(layer.ErrNotAllocated)}
		}
		return reply{eid: a.eid, peerEID: f.eid, data: data}
	})
	return f, nil
}

// Refuse implements layer.Answerer.
func (a *answer) Refuse(code layer.Errno) {
	if a.done.Swap(true) || !a.ipcp.enter() {
		return
	}
	if code == 0 {
		code = layer.ErrIPCP // 0 would accept
	}
	a.reply(a.qos.Cube(), func() reply { return reply{eid: a.eid, response: -int32(code)} })
}

// Ignore implements layer.Answerer.
func (a *answer) Ignore() {
	if !a.done.Swap(true) {
		a.ipcp.waiting.Add(-1)
	}
}

// reply sends what message returns, at once or when a C peer is ready for it.
func (a *answer) reply(cube qos.Cube, message func() reply) {
	wait := replyDelay - time.Since(a.arrived)
	if a.caps.Load() != 0 {
		wait = 0
	}
	a.ipcp.later(wait, func() { a.ipcp.send(a.from, cube, message()) })
}
