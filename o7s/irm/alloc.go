// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/qos"
)

// allocTimeout is the deadline of Alloc and Join if the caller gives none
// (spec 40 §0.1).
const allocTimeout = 20 * time.Second

// call limits a call in time, and to the life of the process.
func (p *Process) call(ctx context.Context) (context.Context, func()) {
	var cancel context.CancelFunc
	if _, ok := ctx.Deadline(); ok {
		ctx, cancel = context.WithCancel(ctx)
	} else {
		ctx, cancel = context.WithTimeout(ctx, allocTimeout)
	}
	unhook := context.AfterFunc(p.ctx, cancel)
	return ctx, func() { unhook(); cancel() }
}

// callError says why a call of the process failed.
func (p *Process) callError(ctx context.Context, err error) error {
	switch {
	case p.ctx.Err() != nil:
		return ErrDetached
	case ctx.Err() != nil && !errors.As(err, new(layer.Errno)):
		return waitError(ctx.Err())
	}
	return waitError(err)
}

// Alloc asks for a flow to a name, which need not exist on this node. If it
// is served here the flow is direct; else the first layer that knows the name
// carries it. A refusal by the peer is a layer.Errno, as is ErrIPCP if no
// layer knows the name; the end of ctx, 20 s from now if it has no deadline,
// is layer.ErrTimedOut. If the ends do not agree on encryption the error is
// layer.ErrCrypt, and layer.ErrAuth if one of them is not who it should be.
func (p *Process) Alloc(ctx context.Context, s string, qs qos.Spec) (*Flow, error) {
	fail := func(err error) (*Flow, error) { return nil, fmt.Errorf("allocate flow to %q: %w", s, err) }
	if err := checkName(s); err != nil {
		return fail(err)
	}
	ctx, cancel := p.call(ctx)
	defer cancel()
	if !p.retries(s) {
		p.irm.infoBy(p.cause(), "Allocating flow for %d to %v (uid %d).", p.pid(), text(s), p.info.Creds.UID)
	}
	pol, err := p.irm.clientPolicy(s)
	var f *Flow
	if err == nil {
		f, err = p.allocDirect(ctx, s, qs, pol)
	}
	if f == nil && err == nil {
		f, err = p.allocLayer(ctx, s, qs, pol)
	}
	p.tried(s, err)
	if err != nil {
		return fail(p.callError(ctx, err))
	}
	return f, nil
}

// retries reports whether an IPC process asks again for what it did not get.
func (p *Process) retries(s string) bool {
	p.irm.mu.Lock()
	defer p.irm.mu.Unlock()
	_, again := p.failed[s]
	return again
}

// tried notes the outcome for retries.
func (p *Process) tried(s string, err error) {
	if p.member == nil {
		return
	}
	p.irm.mu.Lock()
	defer p.irm.mu.Unlock()
	switch {
	case err == nil:
		delete(p.failed, s)
	case len(p.failed) < maxNames:
		if p.failed == nil {
			p.failed = make(map[string]struct{})
		}
		p.failed[s] = struct{}{}
	}
}

// allocDirect asks the processes of this node. It returns neither flow nor
// error if none serves the name, or none takes the flow within a second.
func (p *Process) allocDirect(ctx context.Context, s string, qs qos.Spec, pol *oap.Policy) (*Flow, error) {
	i := p.irm
	i.mu.Lock()
	if p.closed {
		i.mu.Unlock()
		return nil, ErrDetached
	}
	n := i.names[s]
	r := &request{irm: i, n: n, qs: qs, client: p, policy: pol, done: make(chan struct{})}
	if n == nil || !i.servedLocked(r) {
		i.mu.Unlock()
		return nil, nil
	}
	if err := r.submitLocked(); err != nil {
		i.mu.Unlock()
		return nil, err
	}
	if r.state == queued && !n.serverLocked(r) {
		i.autostartLocked(n)
	}
	i.mu.Unlock()
	r.await(ctx.Done())
	if r.flow == nil && r.err == nil {
		return nil, ctx.Err()
	}
	return r.flow, r.err
}

// servedLocked reports whether the request may find an acceptor on this node.
// A process that merely inherited the name and never accepted does not count: it
// may be a client of the same program.
func (i *IRM) servedLocked(r *request) bool {
	n := r.n
	return n.waiterForLocked(r) != nil || n.serverLocked(r) || n.start.comingLocked() || i.canStartLocked(n)
}

// serverLocked reports whether a process that may have the request serves the
// name, even if it is busy just now.
func (n *name) serverLocked(r *request) bool {
	for p, b := range n.procs {
		if (b.explicit || b.listeners > 0 || p.serves) && r.fitsLocked(p) {
			return true
		}
	}
	return false
}
