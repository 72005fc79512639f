// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"context"
	"fmt"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// Dial makes one connection to the component of that name in the member of name
// dst. The caller owns it; nothing is tried again: CEP messages are never repeated
// on a flow, since a prototype would take the second for data (spec 10 §6.4).
func (m *Manager) Dial(ctx context.Context, dst, component string, qs qos.Spec) (*Conn, error) {
	fail := func(err error) (*Conn, error) {
		return nil, fmt.Errorf("connect %s to %q: %w", component, dst, err)
	}
	comp, ok := m.component(component)
	if !ok {
		return fail(fmt.Errorf("there is no such component: %w", layer.ErrInvalid))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	f, err := m.below.Allocate(ctx, dst, qs)
	if err != nil {
		return fail(err)
	}
	c := newConn(f, dst, m.forget)
	m.remember(c)
	own := comp.Info()
	own.Ours = true
	c.say(own)
	peer, err := m.hear(ctx, c)
	if err == nil {
		err = own.matches(peer)
	}
	if err != nil {
		c.Close()
		return fail(err)
	}
	m.settle(c, own)
	return c, nil
}
