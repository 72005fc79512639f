// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"errors"
	"net"
	"sync"

	"o7gw/o7s"
	"o7gw/proxy"
)

// daemon is the stack of a running irmd. When that goes, the next call
// connects to the one that took its place.
type daemon struct {
	runDir string

	mu     sync.Mutex
	stack  *o7s.Stack // nil: not connected
	closed bool
}

var _ stack = (*daemon)(nil)

// connect returns the connection, and makes one if there is none.
func (d *daemon) connect(ctx context.Context) (*o7s.Stack, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, net.ErrClosed
	}
	if d.stack == nil {
		s, err := o7s.Connect(ctx, d.runDir)
		if err != nil {
			return nil, err
		}
		d.stack = s
	}
	return d.stack, nil
}

// lost reports whether err says that the daemon is gone, and then gives up
// the connection.
func (d *daemon) lost(s *o7s.Stack, err error) bool {
	if !errors.Is(err, o7s.ErrDisconnected) {
		return false
	}
	d.mu.Lock()
	if d.stack == s {
		d.stack = nil
	}
	d.mu.Unlock()
	s.Close()
	return true
}

// ask calls the daemon, and once more if it turns out to be gone.
func ask[T any](ctx context.Context, d *daemon, call func(*o7s.Stack) (T, error)) (v T, err error) {
	for again := true; ; again = false {
		s, err := d.connect(ctx)
		if err != nil {
			return v, err
		}
		v, err := call(s)
		if err == nil || !d.lost(s, err) || !again {
			return v, err
		}
	}
}

func (d *daemon) Dial(ctx context.Context, name string, opts ...o7s.DialOption) (*o7s.Flow, error) {
	return ask(ctx, d, func(s *o7s.Stack) (*o7s.Flow, error) { return s.Dial(ctx, name, opts...) })
}

func (d *daemon) Join(ctx context.Context, layerName string) (*o7s.Flow, error) {
	return ask(ctx, d, func(s *o7s.Stack) (*o7s.Flow, error) { return s.Join(ctx, layerName) })
}

func (d *daemon) Query(ctx context.Context, name string) error {
	_, err := ask(ctx, d, func(s *o7s.Stack) (struct{}, error) { return struct{}{}, s.Query(ctx, name) })
	return err
}

func (d *daemon) Listen(ctx context.Context, name string) (proxy.Listener, error) {
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

// daemonListener listens again at the next daemon. One goroutine accepts;
// Close may come from another.
type daemonListener struct {
	d    *daemon
	name string

	mu     sync.Mutex
	stack  *o7s.Stack    // on which l listens
	l      *o7s.Listener // nil: to be made
	closed bool
}

func (l *daemonListener) listen(ctx context.Context) error {
	s, err := l.d.connect(ctx)
	if err != nil {
		return err
	}
	nl, err := s.Listen(ctx, l.name)
	if err != nil {
		l.d.lost(s, err)
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		nl.Close()
		return net.ErrClosed
	}
	l.stack, l.l = s, nl
	return nil
}

func (l *daemonListener) current() (*o7s.Stack, *o7s.Listener, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stack, l.l, l.closed
}

func (l *daemonListener) AcceptFlow(ctx context.Context) (*o7s.Flow, error) {
	s, at, closed := l.current()
	if closed {
		return nil, net.ErrClosed
	}
	if at == nil {
		if err := l.listen(ctx); err != nil {
			return nil, err
		}
		s, at, _ = l.current()
	}
	f, err := at.AcceptFlow(ctx)
	if err != nil && l.d.lost(s, err) {
		l.mu.Lock()
		l.l = nil
		l.mu.Unlock()
	}
	return f, err
}

func (l *daemonListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.l == nil {
		return nil
	}
	return l.l.Close()
}
