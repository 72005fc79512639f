// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	// dialTimeout bounds one attempt to make a connection again: the answer to
	// a name query and to a flow request that was lost once.
	dialTimeout = 10 * time.Second
	// firstTries is how many flows Connect takes when the peer's message does
	// not come, which may have been lost (CM-2).
	firstTries = 3
)

// target is what Connect connects to.
type target struct {
	dst, component string
	qos            qos.Spec
}

// link is a connection that is kept up:
//
//	dialling ──success──▶ up ──end of the flow, Close──▶ lost ──success──▶ up
//	   │ failure           └────Disconnect──▶ forgotten ◀──────────────┘
//	   └──────▶ forgotten
type link struct {
	target
	comp Component
	ctx  context.Context // ends with Disconnect
	stop context.CancelFunc
	done chan struct{} // closed when nobody works on it any more

	// Guarded by the manager's mu.
	conn    *Conn         // nil: none now
	err     error         // why it is forgotten
	changed chan struct{} // closed and replaced when one of these changes
}

func (l *link) signalLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Connect makes a connection and hands it to the component. From then on it is
// kept up: when it ends another one is made, until Disconnect. If there is one with
// the same QoS already, Connect waits until that is up.
func (m *Manager) Connect(ctx context.Context, dst, component string, qs qos.Spec) error {
	comp, ok := m.component(component)
	if !ok {
		return fmt.Errorf("connect %s to %q: there is no such component: %w", component, dst, layer.ErrInvalid)
	}
	l, exists := m.link(target{dst, component, qs}, comp)
	if exists {
		return m.waitUp(ctx, l)
	}
	c, err := m.dialFirst(ctx, l)
	if err == nil && !m.run(func() { m.keep(l, c) }) {
		c.Close()
		err = layer.ErrIPCPState // closed
	}
	if err != nil {
		m.drop(l, err)
	}
	return err
}

// link returns what is kept up to the target, made now if it does not exist.
func (m *Manager) link(t target, comp Component) (l *link, exists bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l = m.kept[t]; l != nil {
		return l, true
	}
	l = &link{target: t, comp: comp, done: make(chan struct{}), changed: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(m.ctx)
	m.kept[t] = l
	return l, false
}

// drop forgets a link. Whoever waits for it gets the error.
func (m *Manager) drop(l *link, err error) {
	l.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept[l.target] == l {
		delete(m.kept, l.target)
	}
	l.conn, l.err = nil, err
	l.signalLocked()
	close(l.done)
}

// setConn notes the connection of a link, nil: it is lost.
func (m *Manager) setConn(l *link, c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.conn = c
	l.signalLocked()
}

// waitUp waits until the link is up.
func (m *Manager) waitUp(ctx context.Context, l *link) error {
	for {
		m.mu.Lock()
		up, err, changed := l.conn != nil, l.err, l.changed
		m.mu.Unlock()
		if up || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("connect %s to %q, which is tried since before: %w", l.component, l.dst, ctx.Err())
		}
	}
}

// dialFirst makes the first connection of a link.
func (m *Manager) dialFirst(ctx context.Context, l *link) (c *Conn, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	pause := m.newPause()
	for range firstTries {
		if c, err = m.Dial(ctx, l.dst, l.component, l.qos); !errors.Is(err, errSilent) || !pause.wait(ctx) {
			break
		}
	}
	return c, err
}

// errDisconnected is what those get who wait for a link that is forgotten.
var errDisconnected = errors.New("disconnected")

// keep hands a connection to its component, and when it has ended the next one.
func (m *Manager) keep(l *link, c *Conn) {
	defer m.drop(l, errDisconnected)
	log := m.log.With("connection", l.component, "name", l.dst)
	pause := m.newPause()
	for c != nil {
		start := time.Now()
		m.setConn(l, c)
		taken := c
		m.run(func() { l.comp.Accept(taken) })
		select {
		case <-c.done:
		case <-l.ctx.Done():
		}
		if l.ctx.Err() != nil {
			c.hangUp()
			return
		}
		m.setConn(l, nil)
		if time.Since(start) > 2*maxPause {
			pause.reset()
		}
		log.Info("lost the connection; making it again")
		if c = m.redial(l, &pause); c != nil {
			log.Info("made the connection again")
		}
	}
}

// redial tries until there is a connection, or returns nil when it is not
// wanted any more.
func (m *Manager) redial(l *link, pause *pause) *Conn {
	for pause.wait(l.ctx) {
		ctx, cancel := context.WithTimeout(l.ctx, dialTimeout)
		c, err := m.Dial(ctx, l.dst, l.component, l.qos)
		cancel()
		if err == nil {
			return c
		}
		m.log.Debug("connection not made again", "err", err)
	}
	return nil
}

// Disconnect ends what Connect keeps up to the name, with whatever QoS; the
// component hears of it. It is no error if there is nothing.
func (m *Manager) Disconnect(ctx context.Context, dst, component string) error {
	var links []*link
	m.mu.Lock()
	for t, l := range m.kept {
		if t.dst == dst && t.component == component {
			delete(m.kept, t)
			links = append(links, l)
		}
	}
	m.mu.Unlock()
	for _, l := range links {
		l.stop()
	}
	for _, l := range links {
		select {
		case <-l.done:
		case <-ctx.Done():
			return fmt.Errorf("disconnect %s from %q: %w", component, dst, ctx.Err())
		}
	}
	return nil
}
