// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"fmt"
)

// layerJoined registers, with a member that has just come into a layer,
// the names that processes listen to.
func (i *IRM) layerJoined(ctx context.Context) {
	i.mu.Lock()
	var listened []*name
	for _, n := range i.names {
		if n.listeners > 0 {
			listened = append(listened, n)
		}
	}
	i.mu.Unlock()
	for _, n := range listened {
		for m, err := range i.reconcile(ctx, n) {
			i.warnf("Failed to register %v with IPCP %d: %v.", text(n.name), m.id, err)
		}
	}
}

// Listen binds the process to the name, which is created if it is missing,
// and registers it with every layer of the node, also with those that come
// later. stop undoes what this call did; it may be called more than once.
//
// A layer that refuses the name is only an error if all do.
func (p *Process) Listen(ctx context.Context, s string) (stop func(), err error) {
	i := p.irm
	i.mu.Lock()
	n, b, err := p.bindLocked(s)
	if err != nil {
		i.mu.Unlock()
		return nil, fmt.Errorf("listen to %q: %w", s, err)
	}
	b.listeners++
	n.listeners++
	i.mu.Unlock()
	errs := i.reconcile(ctx, n)
	i.mu.Lock()
	nowhere := len(n.registered) == 0
	i.mu.Unlock()
	for m, e := range errs {
		i.warnf("Failed to register %v with IPCP %d: %v.", text(s), m.id, e)
		err = errors.Join(err, fmt.Errorf("listen to %q: register with IPCP %d: %w", s, m.id, e))
	}
	if err != nil && nowhere {
		p.unlisten(n, b)
		return nil, err
	}
	done := false // guarded by mu
	return func() {
		i.mu.Lock()
		first := !done
		done = true
		i.mu.Unlock()
		if first {
			p.unlisten(n, b)
		}
	}, nil
}

// unlisten takes back one Listen. If the binding has gone with its process,
// or with the name, so has the count.
func (p *Process) unlisten(n *name, b *binding) {
	i := p.irm
	i.mu.Lock()
	if p.names[n] != b || b.listeners == 0 {
		i.mu.Unlock()
		return
	}
	b.listeners--
	n.listeners--
	if b.unusedLocked() {
		p.unbindLocked(n)
	}
	i.mu.Unlock()
	i.tidy(n)
}
