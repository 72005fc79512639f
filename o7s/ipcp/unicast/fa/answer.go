// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	// replyDelay is the least time between a request and the reply toward
	// a prototype: it records whom it expects a reply from only after it has
	// sent the request (FA-3).
	replyDelay = time.Millisecond
	// maxWaiting is how many requests may wait for their answer.
	maxWaiting = 4096
)

// answer is the layer.Answerer of one flow request. It is layer.PeerAware
// too: the IRM calls SetPeerCaps before Accept or Refuse, with what the
// requester announced. A requester that announced nothing is taken for a
// prototype, and its reply is delayed. The capabilities pass on to the flow.
type answer struct {
	fa      *FA
	from    requester
	qos     qos.Spec
	arrived time.Time
	caps    atomic.Uint32 // layer.Caps

	mu   sync.Mutex
	done bool  // answered; guarded by mu, as is the rest
	sent reply // once it was
	flow *flow // if accepted
}

var (
	_ layer.Answerer  = (*answer)(nil)
	_ layer.PeerAware = (*answer)(nil)
)

// requested hands a flow request up. Nothing in it waits (FA-5).
func (a *FA) requested(r request) {
	if !validEID(r.eid) || r.source == 0 || r.source == a.cfg.Self { // FA-1
		a.stats.malformed.Add(1)
		return
	}
	w := &answer{fa: a, from: requester{r.source, r.eid}, qos: r.qos, arrived: time.Now()}
	if a.requests.waiting.Load() >= maxWaiting {
		a.stats.busy.Add(1)
		return
	}
	if first := a.requests.note(w); first != nil {
		a.stats.copies.Add(1)
		first.repeat()
		return
	}
	a.requests.waiting.Add(1)
	if a.cfg.Registered != nil && !a.cfg.Registered(r.dst) { // FA-6
		a.stats.unregistered.Add(1)
		w.Refuse(layer.ErrNoName)
		return
	}
	a.stats.requests.Add(1)
	a.cfg.Upper.FlowRequested(&layer.Request{Dst: r.dst, QoS: r.qos, Data: bytes.Clone(r.data), Answerer: w})
}

// SetPeerCaps implements layer.PeerAware.
func (w *answer) SetPeerCaps(c layer.Caps) {
	w.caps.Store(uint32(c))
	if c != 0 {
		w.fa.members.add(w.from.addr)
	}
}

// Accept implements layer.Answerer. data is at most 1987 bytes; with more the
// request stays open.
func (w *answer) Accept(data []byte) (layer.Port, error) {
	a := w.fa
	if most := maxMessage - headerLen; len(data) > most {
		return nil, fmt.Errorf("accept: reply data has %d bytes, above %d: %w", len(data), most, layer.ErrInvalid)
	}
	if !w.answered() {
		return nil, fmt.Errorf("accept: request was answered before: %w", layer.ErrInvalid)
	}
	if !a.enter() {
		return nil, fmt.Errorf("accept: IPCP is closing: %w", layer.ErrIPCPState)
	}
	f := a.newFlow(w.from.addr, w.qos)
	f.remote.Store(w.from.eid)
	f.caps.Store(w.caps.Load())
	f.state.Store(up)
	f.held = true
	if err := a.flows.add(f, time.Now()); err != nil {
		w.reply(reply{eid: w.from.eid, response: -int32(layer.ErrNoMemory)}, nil)
		return nil, fmt.Errorf("accept: %w", err)
	}
	w.reply(reply{eid: w.from.eid, peerEID: f.eid, data: bytes.Clone(data)}, f)
	return f, nil
}

// Refuse implements layer.Answerer.
func (w *answer) Refuse(code layer.Errno) {
	if !w.answered() || !w.fa.enter() {
		return
	}
	if code == 0 {
		code = layer.ErrIPCP // 0 would accept
	}
	w.reply(reply{eid: w.from.eid, response: -int32(code)}, nil)
}

// Ignore implements layer.Answerer.
func (w *answer) Ignore() { w.answered() }

// answered notes that the request is answered, and reports whether it had not
// been.
func (w *answer) answered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return false
	}
	w.done = true
	w.fa.requests.waiting.Add(-1)
	return true
}

// reply sends the reply, at once or when a prototype is ready for it, and then
// lets the flow send. The caller has entered; Close waits for the delay, a millisecond
// at most.
func (w *answer) reply(r reply, f *flow) {
	send := func() {
		defer w.fa.work.Done()
		w.mu.Lock()
		w.sent, w.flow = r, f
		w.mu.Unlock()
		w.send(r, f)
		if f != nil {
			f.free()
		}
	}
	wait := replyDelay - time.Since(w.arrived)
	if wait > 0 && w.caps.Load() == 0 && !w.fa.members.has(w.from.addr) {
		time.AfterFunc(wait, send)
		return
	}
	send()
}

// send sends the reply. A flow that has ended meanwhile was not accepted.
func (w *answer) send(r reply, f *flow) {
	if f != nil && f.state.Load() == ended {
		r = reply{eid: r.eid, response: -int32(layer.ErrNotAllocated)}
	}
	if w.fa.send(w.from.addr, control, r) != nil {
		w.fa.stats.sendFailed.Add(1)
	}
}

// repeat sends the reply again, if it was sent: a copy of the request came.
func (w *answer) repeat() {
	w.mu.Lock()
	r, f := w.sent, w.flow
	w.mu.Unlock()
	if r.eid != 0 {
		w.send(r, f)
	}
}
