// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	// replyDelay is the least time between a request and the reply toward
	// a C peer: it records whom it expects a reply from only after it has
	// sent the request (UDP-7).
	replyDelay = time.Millisecond
	// maxWaiting is how many requests may wait for their answer.
	maxWaiting = 4096
)

// answer is the layer.Answerer of one flow request. It is layer.PeerAware
// too: the IRM calls SetPeerCaps before Accept or Refuse, with what the
// requester announced. A requester that announced nothing is taken for a C
// node, and its reply is delayed. The capabilities pass on to the flow.
type answer struct {
	ipcp    *IPCP
	from    endpoint
	eid     uint32 // of the requester
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
func (p *IPCP) requested(r request, from endpoint) {
	if r.eid == manageEID {
		p.stats.malformed.Add(1)
		return
	}
	a := &answer{ipcp: p, from: from, eid: r.eid, qos: r.qos, arrived: time.Now()}
	switch {
	case p.waiting.Add(1) > maxWaiting:
		p.waiting.Add(-1)
		p.stats.busy.Add(1)
	case !p.names.Has(r.dst): // UDP-16
		p.stats.unregistered.Add(1)
		a.Refuse(layer.ErrNoName)
	default:
		p.stats.requests.Add(1)
		p.Upper().FlowRequested(&layer.Request{Dst: r.dst, QoS: r.qos, Data: bytes.Clone(r.data), Answerer: a})
	}
}

// SetPeerCaps implements layer.PeerAware.
func (a *answer) SetPeerCaps(c layer.Caps) { a.caps.Store(uint32(c)) }

// Accept implements layer.Answerer. data is at most 2001 bytes; with more the
// request stays open.
func (a *answer) Accept(data []byte) (layer.Port, error) {
	if len(data) > maxReplyData {
		return nil, fmt.Errorf("accept: reply data has %d bytes, above %d: %w", len(data), maxReplyData, layer.ErrInvalid)
	}
	if a.done.Swap(true) {
		return nil, fmt.Errorf("accept: request was answered before: %w", layer.ErrInvalid)
	}
	f := a.ipcp.newFlow(a.from, a.qos)
	f.remote.Store(a.eid)
	f.caps.Store(a.caps.Load())
	f.state.Store(up)
	if !a.ipcp.enter() {
		return nil, fmt.Errorf("accept: %w", layer.ErrIPCPState)
	}
	a.ipcp.flows.add(f, time.Now())
	f.claim()
	r := reply{eid: a.eid, peerEID: f.eid, data: bytes.Clone(data)}
	a.reply(&f.peer, f.cube, func() reply {
		if f.state.Load() != up { // closed while the reply was delayed
			return reply{eid: a.eid, response: -int32(layer.ErrNotAllocated)}
		}
		return r
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
	to := new(peer)
	to.init(a.from)
	a.reply(to, a.qos.Cube(), func() reply { return reply{eid: a.eid, response: -int32(code)} })
}

// Ignore implements layer.Answerer.
func (a *answer) Ignore() {
	if !a.done.Swap(true) {
		a.ipcp.waiting.Add(-1)
	}
}

// reply sends what message returns, at once or when a C peer is ready for it.
// The caller has entered; Close waits for the delay, a millisecond at most.
func (a *answer) reply(to *peer, cube qos.Cube, message func() reply) {
	send := func() {
		defer a.ipcp.replies.Done()
		a.ipcp.send(to, cube, message().append)
		a.ipcp.waiting.Add(-1)
	}
	if wait := replyDelay - time.Since(a.arrived); a.caps.Load() == 0 && wait > 0 {
		time.AfterFunc(wait, send)
		return
	}
	send()
}
