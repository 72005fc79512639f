// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"errors"
	"net"
	"sync"

	"o7gw/gateway/tunnel"
	"o7gw/o7s"
	"o7gw/o7s/qos"
)

// daemon gives tunnels the flows of a running irmd. When that goes, the next
// call connects to the one that took its place.
type daemon struct {
	runDir string

	mu     sync.Mutex
	stack  *o7s.Stack // nil: not connected
	closed bool
}

// connect returns the connection, and makes one if there is none.
func (d *daemon) connect(ctx context.Context) (network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return network{}, net.ErrClosed
	}
	if d.stack == nil {
		s, err := o7s.Connect(ctx, d.runDir)
		if err != nil {
			return network{}, err
		}
		d.stack = s
	}
	return network{d.stack, true}, nil
}

// lost reports whether err says that the daemon is gone, and then gives up
// the connection of n.
func (d *daemon) lost(n network, err error) bool {
	if !errors.Is(err, o7s.ErrDisconnected) {
		return false
	}
	d.mu.Lock()
	if d.stack == n.stack {
		d.stack = nil
	}
	d.mu.Unlock()
	n.stack.Close()
	return true
}

func (d *daemon) Dial(ctx context.Context, name string, qs qos.Spec) (tunnel.Flow, error) {
	for again := true; ; again = false {
		n, err := d.connect(ctx)
		if err != nil {
			return nil, err
		}
		f, err := n.Dial(ctx, name, qs)
		if err == nil || !d.lost(n, err) || !again {
			return f, err
		}
	}
}

func (d *daemon) Listen(ctx context.Context, name string) (tunnel.Listener, error) {
	l := &daemonListener{d: d, name: name}
	return l, l.listen(ctx)
}

// Close ends the connection.
func (d *daemon) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.stack == nil {
		return nil
	}
	return d.stack.Close()
}

// daemonListener listens again at the next daemon. One goroutine uses it.
type daemonListener struct {
	d    *daemon
	name string
	net  network
	l    tunnel.Listener // nil: to be made
}

func (l *daemonListener) listen(ctx context.Context) (err error) {
	if l.net, err = l.d.connect(ctx); err != nil {
		return err
	}
	if l.l, err = l.net.Listen(ctx, l.name); err != nil {
		l.l = nil
		l.d.lost(l.net, err)
	}
	return err
}

func (l *daemonListener) AcceptFlow(ctx context.Context) (tunnel.Flow, error) {
	if l.l == nil {
		if err := l.listen(ctx); err != nil {
			return nil, err
		}
	}
	f, err := l.l.AcceptFlow(ctx)
	if err != nil && l.d.lost(l.net, err) {
		l.l = nil
	}
	return f, err
}

func (l *daemonListener) Close() error {
	if l.l == nil {
		return nil
	}
	return l.l.Close()
}
