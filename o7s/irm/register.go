// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"fmt"
	"time"

	"o7gw/o7s/layer"
)

const (
	// registerTimeout limits one registration (spec 40 §0.1).
	registerTimeout = 20 * time.Second
	// unregisterTimeout limits what is done for somebody who does not wait
	// for it, such as a dead process.
	unregisterTimeout = 2 * time.Second
)

// Register makes a name reachable through an IPC process, and creates it if
// it is missing. Registering twice is no error.
func (i *IRM) Register(ctx context.Context, s string, id int) error {
	fail := func(err error) error { return fmt.Errorf("register %q with IPCP %d: %w", s, id, err) }
	i.mu.Lock()
	m, err := i.memberLocked(id)
	if err == nil && !m.joined {
		err = errText("it is in no layer", layer.ErrIPCPState)
	}
	var n *name
	if err == nil {
		n, err = i.needNameLocked(s)
	}
	if err != nil {
		i.mu.Unlock()
		return fail(err)
	}
	n.wanted[m] = struct{}{}
	i.mu.Unlock()
	if err := i.reconcile(ctx, n)[m]; err != nil {
		i.mu.Lock()
		delete(n.wanted, m)
		i.mu.Unlock()
		return fail(err)
	}
	return nil
}

// Unregister ends that; a name that is not registered is no error. While a
// process listens to the name it stays registered.
func (i *IRM) Unregister(ctx context.Context, s string, id int) error {
	i.mu.Lock()
	m, err := i.memberLocked(id)
	n := i.names[s]
	if n != nil && err == nil {
		delete(n.wanted, m)
	}
	i.mu.Unlock()
	if err == nil && n != nil {
		err = i.reconcile(ctx, n)[m]
	}
	if err != nil {
		return fmt.Errorf("unregister %q from IPCP %d: %w", s, id, err)
	}
	return nil
}

// reconcile registers a name where it should be registered and is not, and
// unregisters it where it is the other way round. It returns the errors by
// member; whoever changes what should be calls it afterwards. Calls for one
// name are one after the other, so the last state wins in every layer.
func (i *IRM) reconcile(ctx context.Context, n *name) map[*member]error {
	n.regMu.Lock()
	defer n.regMu.Unlock()
	add, drop := i.registrationDiff(n)
	var errs map[*member]error
	failed := func(m *member, err error) {
		if errs == nil {
			errs = make(map[*member]error)
		}
		errs[m] = waitError(err)
	}
	for _, m := range drop {
		i.mu.Lock()
		h, ok := n.registered[m]
		delete(n.registered, m)
		i.mu.Unlock()
		if !ok { // destroyed meanwhile
			continue
		}
		// Not for the caller alone, so not only as long as he waits.
		mctx, cancel := m.within(context.WithoutCancel(ctx), unregisterTimeout)
		err := m.ipcp.Unregister(mctx, h)
		cancel()
		if err != nil {
			failed(m, err)
			continue
		}
		i.infoBy(n.cause(), "Unregistered %v from %d.", text(n.name), m.id)
	}
	for _, m := range add {
		h := m.hashAlgo().Sum(n.name)
		mctx, cancel := m.within(ctx, registerTimeout)
		err := m.ipcp.Register(mctx, h)
		cancel()
		if err != nil {
			failed(m, err)
			continue
		}
		i.mu.Lock()
		if !m.gone {
			n.registered[m] = h
		}
		i.mu.Unlock()
		i.infoBy(n.cause(), "Registered %v with IPCP %d as %s.", text(n.name), m.id, h.Short())
	}
	return errs
}

func (m *member) hashAlgo() layer.HashAlgo {
	m.irm.mu.Lock()
	defer m.irm.mu.Unlock()
	return m.info.Hash
}

// registrationDiff returns the members to register with and to unregister
// from. A name is wanted in every layer while somebody listens to it, else
// where an administrator registered it.
func (i *IRM) registrationDiff(n *name) (add, drop []*member) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.layersLocked() {
		_, want := n.wanted[m]
		want = want || n.listeners > 0
		_, have := n.registered[m]
		switch {
		case want && !have:
			add = append(add, m)
		case have && !want:
			drop = append(drop, m)
		}
	}
	return add, drop
}
