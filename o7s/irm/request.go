// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"container/list"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/qos"
)

const (
	// acceptWait is how long a request waits for an acceptor (spec 40 §0.1).
	acceptWait = time.Second
	// busyGrace is how long a request waits for one of the processes that
	// serve the name already, before another instance of its program is started: a
	// server between two accepts is not a busy one.
	busyGrace = 250 * time.Millisecond
	// maxPending bounds the requests that wait for an acceptor of one name,
	// and maxMemberPending those that came through one IPC process.
	maxPending       = 1024
	maxMemberPending = 2048
)

// request is a flow request that looks for an acceptor:
//
//	queued ──a waiter──▶ taken ──flow made──▶ settled
//	   ▲  └─────refused, timed out, given up────▶┘
//	   └──acceptor gone──┘
//
// It is direct, from a process of this node, or came through a member.
type request struct {
	irm *IRM
	n   *name
	qs  qos.Spec

	deadline time.Time
	done     chan struct{} // closed when settled

	// Of a direct request: flow and err are valid when settled.
	client *Process
	policy *oap.Policy // of the client side
	flow   *Flow
	err    error

	// Of a request from the network.
	m      *member
	answer layer.Answerer
	oap    *oap.Pending
	caps   layer.Caps // what the requester announced
	aware  bool       // it announced something

	// Guarded by IRM.mu.
	state requestState
	elem  *list.Element // in n.pending while queued
	late  bool          // deadline passed while taken
}

type requestState uint8

const (
	fresh requestState = iota
	queued
	taken
	settled
)

// submitLocked gives the request to the acceptor whose turn it is, or puts it
// in the queue. Choosing the acceptor and handing over is one step, so no two
// requests can get the same.
func (r *request) submitLocked() error {
	if r.n.pending.Len() >= maxPending && r.n.waiterForLocked(r) == nil {
		return errText("too many requests wait for the name", ErrBusy)
	}
	if r.m != nil {
		if r.m.pending >= maxMemberPending {
			return errText("too many requests wait in the IPCP", ErrBusy)
		}
		r.m.pending++
	}
	r.deadline = time.Now().Add(acceptWait)
	r.state = queued
	r.elem = r.n.pending.PushBack(r)
	r.n.dispatchLocked()
	return nil
}

// dispatchLocked brings waiting requests and waiting acceptors together.
func (n *name) dispatchLocked() {
	for e := n.pending.Front(); e != nil && n.active.Len() > 0; {
		r := e.Value.(*request)
		e = e.Next()
		if w := n.waiterForLocked(r); w != nil {
			r.takeLocked()
			w.giveLocked(r)
		}
	}
}

// waiterForLocked returns the waiter whose turn it is, of those that may have
// the request.
func (n *name) waiterForLocked(r *request) *waiter {
	for e := n.active.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); r.fitsLocked(w.p) {
			return w
		}
	}
	return nil
}

// requestForLocked returns the oldest request that the process may have.
func (n *name) requestForLocked(p *Process) *request {
	for e := n.pending.Front(); e != nil; e = e.Next() {
		if r := e.Value.(*request); r.fitsLocked(p) {
			return r
		}
	}
	return nil
}

func (r *request) takeLocked() {
	r.n.pending.Remove(r.elem)
	r.state = taken
}

// requeueLocked gives back a taken request whose acceptor has gone before it made
// the flow. It reports false if there is no time left to find another: then the
// request is settled, and the caller refuses it.
func (r *request) requeueLocked() bool {
	if r.late || r.irm.closed || r.irm.names[r.n.name] != r.n {
		r.settleLocked()
		return false
	}
	r.state = queued
	r.elem = r.n.pending.PushFront(r)
	r.n.dispatchLocked()
	return true
}

func (r *request) settleLocked() {
	if r.state == queued {
		r.n.pending.Remove(r.elem)
	}
	r.state = settled
	if r.m != nil {
		r.m.pending--
	}
	close(r.done)
}

// takePendingLocked settles all waiting requests of a name; the caller
// refuses them.
func (n *name) takePendingLocked() []*request {
	var rs []*request
	for n.pending.Len() > 0 {
		r := n.pending.Front().Value.(*request)
		r.settleLocked()
		rs = append(rs, r)
	}
	return rs
}

// refuse tells the requester of a settled request that there is no flow. A
// direct requester sees it by r.done and goes on to the layers.
func (r *request) refuse(code layer.Errno) {
	if r.answer != nil {
		r.answer.Refuse(code)
	}
}

// fail settles a taken request, and tells the requester why.
func (r *request) fail(err error) {
	r.irm.mu.Lock()
	r.err = err
	r.settleLocked()
	r.irm.mu.Unlock()
	r.refuse(codeOf(err))
}

// giveBack is requeueLocked, and refuses what cannot wait any longer.
func (r *request) giveBack() {
	r.irm.mu.Lock()
	kept := r.requeueLocked()
	r.irm.mu.Unlock()
	if !kept {
		r.refuse(layer.ErrTimedOut)
	}
}

// cause is whoever asks.
func (r *request) cause() cause {
	if r.m != nil {
		return cause{m: r.m}
	}
	return r.client.cause()
}

// await waits until the request is settled, and settles it itself, without
// a flow, when its time is over or cancel is closed.
func (r *request) await(cancel <-chan struct{}) {
	i := r.irm
	timer := time.NewTimer(busyGrace)
	defer timer.Stop()
	for {
		canceled := false
		select {
		case <-r.done:
			return
		case <-timer.C:
		case <-cancel:
			canceled = true
		}
		i.mu.Lock()
		left := time.Until(r.deadline)
		over := canceled || left <= 0
		switch {
		case r.state == settled:
			i.mu.Unlock()
			return
		case r.state == taken && over:
			// Its acceptor is at work, which takes no time, or gives it back.
			r.late = true
			i.mu.Unlock()
			<-r.done
			return
		case over:
			r.settleLocked()
			i.mu.Unlock()
			if canceled {
				r.refuse(layer.ErrIRMd)
				return
			}
			i.infoBy(r.cause(), "No active process for %v.", text(r.n.name))
			r.refuse(layer.ErrTimedOut)
			return
		case r.state == queued:
			i.autostartLocked(r.n)
		}
		i.mu.Unlock()
		timer.Reset(left)
	}
}
