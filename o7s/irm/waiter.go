// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"container/list"
	"context"

	"o7gw/o7s/layer"
)

// waiter is a call of Accept that waits. It stands in the active lists of all
// names that it accepts for (spec 40 §2.7), and leaves them all at once.
type waiter struct {
	p     *Process
	only  *name // nil: any name that the process is bound to
	elems map[*name]*list.Element
	got   chan *request // room for one: what it gets, or nil when err is set
	err   error         // written before got
}

func (w *waiter) enlistLocked(n *name) {
	if n.policy == Spillover {
		w.elems[n] = n.active.PushFront(w)
	} else {
		w.elems[n] = n.active.PushBack(w)
	}
}

func (w *waiter) delistLocked(n *name) {
	if e := w.elems[n]; e != nil {
		n.active.Remove(e)
		delete(w.elems, n)
	}
}

func (w *waiter) leaveLocked() {
	for n, e := range w.elems {
		n.active.Remove(e)
	}
	clear(w.elems)
	delete(w.p.waiters, w)
}

func (w *waiter) giveLocked(r *request) {
	w.leaveLocked()
	w.got <- r
}

func (w *waiter) endLocked(err error) {
	w.leaveLocked()
	w.err = err
	w.got <- nil
}

// nextRequest takes the oldest request that waits for the process, or waits
// for its turn.
func (p *Process) nextRequest(ctx context.Context, s string) (*request, error) {
	i := p.irm
	i.mu.Lock()
	w, r, err := p.waiterLocked(s)
	i.mu.Unlock()
	if w == nil {
		return r, err
	}
	select {
	case r := <-w.got:
		return r, w.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.ctx.Done():
		err = ErrDetached
	}
	i.mu.Lock()
	w.leaveLocked()
	var back *request
	select {
	case back = <-w.got:
	default:
	}
	i.mu.Unlock()
	if back != nil {
		back.giveBack()
	}
	return nil, err
}

// waiterLocked returns a request that waits already, or a new waiter.
func (p *Process) waiterLocked(s string) (*waiter, *request, error) {
	if p.closed {
		return nil, nil, ErrDetached
	}
	w := &waiter{p: p, elems: make(map[*name]*list.Element), got: make(chan *request, 1)}
	if s != "" {
		w.only = p.irm.names[s]
		if w.only == nil || p.names[w.only] == nil {
			return nil, nil, errText("process is not bound to the name", layer.ErrNoName)
		}
	}
	p.serves = true
	var oldest *request
	for n := range p.names {
		if w.only != nil && w.only != n {
			continue
		}
		n.start.servedLocked()
		if r := n.requestForLocked(p); r != nil && (oldest == nil || r.deadline.Before(oldest.deadline)) {
			oldest = r
		}
	}
	if oldest != nil {
		oldest.takeLocked()
		return nil, oldest, nil
	}
	if len(p.waiters) >= maxWaiters {
		return nil, nil, errText("process has too many accept calls", ErrBusy)
	}
	p.waiters[w] = struct{}{}
	for n := range p.names {
		if w.only == nil || w.only == n {
			w.enlistLocked(n)
		}
	}
	return w, nil, nil
}
