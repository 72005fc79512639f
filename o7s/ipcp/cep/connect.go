// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	// firstPause and lastPause are between attempts to make a connection
	// again; each is up to twice as long as the one before.
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
	// dialTimeout bounds one attempt: the answer to a name query and to a
	// flow request that was lost once.
	dialTimeout = 10 * time.Second
)

// target is what Connect connects to.
type target struct{ dst, component string }

// link is a connection that is kept up.
type link struct {
	stop context.CancelFunc
	done chan struct{} // closed when nobody works on it any more
}

// Dial makes one connection to the component of that name in the member of name
// dst. The caller owns it; nothing is tried again: CEP messages are never repeated
// on a flow, since a prototype would take the second for data (spec 10 §6.4).
func (m *Manager) Dial(ctx context.Context, dst, component string, qs qos.Spec) (*Conn, error) {
	comp, ok := m.component(component)
	if !ok {
		return nil, fmt.Errorf("connect to %q: no component %q: %w", dst, component, layer.ErrInvalid)
	}
	f, err := m.below.Allocate(ctx, dst, qs)
	if err != nil {
		return nil, fmt.Errorf("connect to %q: %w", dst, err)
	}
	c := newConn(f, component, dst, m.forget)
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
		return nil, fmt.Errorf("connect %s to %q: %w", component, dst, err)
	}
	m.settle(c, own)
	return c, nil
}

// Connect makes a connection and hands it to the component. From then on it is
// kept up: when it ends another one is made, until Disconnect. One that exists
// already is left as it is.
func (m *Manager) Connect(ctx context.Context, dst, component string, qs qos.Spec) error {
	comp, ok := m.component(component)
	if !ok {
		return fmt.Errorf("connect to %q: no component %q: %w", dst, component, layer.ErrInvalid)
	}
	key := target{dst, component}
	keep, stop := context.WithCancel(m.ctx)
	l := &link{stop: stop, done: make(chan struct{})}
	m.mu.Lock()
	_, exists := m.kept[key]
	if !exists {
		m.kept[key] = l
	}
	m.mu.Unlock()
	if exists {
		stop()
		return nil
	}
	c, err := m.Dial(ctx, dst, component, qs)
	if err == nil && !m.run(func() {
		defer close(l.done)
		m.keep(keep, c, comp, key, qs)
	}) {
		c.Close()
		err = layer.ErrIPCPState // closed
	}
	if err != nil {
		stop()
		m.drop(key)
		close(l.done)
	}
	return err
}

func (m *Manager) drop(key target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kept, key)
}

// keep hands a connection to its component, and when it has ended the next one.
func (m *Manager) keep(ctx context.Context, c *Conn, comp Component, key target, qs qos.Spec) {
	log := m.log.With("component", key.component, "name", key.dst)
	pause := firstPause
	for {
		start := time.Now()
		comp.Accept(c)
		select {
		case <-c.done:
		case <-ctx.Done():
			c.Close()
			return
		}
		if time.Since(start) > lastPause {
			pause = firstPause
		}
		log.Info("lost the connection; making it again")
		if c = m.redial(ctx, key, qs, &pause); c == nil {
			return
		}
		log.Info("made the connection again")
	}
}

// redial tries until there is a connection, or returns nil when ctx ends.
func (m *Manager) redial(ctx context.Context, key target, qs qos.Spec, pause *time.Duration) *Conn {
	for {
		// Not all neighbours of a member that comes back ask at the same time.
		wait := *pause/2 + rand.N(*pause)
		*pause = min(2**pause, lastPause)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		dctx, cancel := context.WithTimeout(ctx, dialTimeout)
		c, err := m.Dial(dctx, key.dst, key.component, qs)
		cancel()
		if err == nil {
			return c
		}
		m.log.Debug("connection not made", "component", key.component, "name", key.dst, "err", err)
	}
}

// Disconnect ends a connection that Connect made. It is no error if there is
// none.
func (m *Manager) Disconnect(ctx context.Context, dst, component string) error {
	m.mu.Lock()
	l := m.kept[target{dst, component}]
	delete(m.kept, target{dst, component})
	m.mu.Unlock()
	if l == nil {
		return nil
	}
	l.stop()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
