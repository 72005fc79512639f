// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"o7gw/o7s/layer"
)

// Listener takes the flows that others allocate to a name. It is a
// net.Listener.
type Listener struct {
	stack *Stack
	name  string
	stop  func()
	ctx   context.Context // ends with Close
	end   context.CancelFunc
	once  sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Listen binds this process to the name and registers the name in every
// layer, until the Listener is closed. With an empty name it takes the flows to
// all names that were bound to this process or its program with irm.
func (s *Stack) Listen(ctx context.Context, name string) (*Listener, error) {
	stop := func() {}
	if name != "" {
		var err error
		if stop, err = s.b.Listen(ctx, name); err != nil {
			return nil, opError("listen", name, err)
		}
	}
	l := &Listener{stack: s, name: name, stop: stop}
	l.ctx, l.end = context.WithCancel(context.Background())
	if !s.hold(l) {
		l.Close()
		return nil, opError("listen", name, net.ErrClosed)
	}
	return l, nil
}

// acceptPause is how long AcceptFlow waits when there is no room for a flow.
const acceptPause = 50 * time.Millisecond

// AcceptFlow waits for the next flow. A flow for which this process or the
// daemon has no room is refused, which is no error of the Listener.
func (l *Listener) AcceptFlow(ctx context.Context) (*Flow, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	if l.ctx.Err() != nil {
		return nil, opError("accept", l.name, net.ErrClosed)
	}
	a, err := l.stack.b.Accept(ctx, l.name)
	for noRoom(err) && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(acceptPause):
		}
		a, err = l.stack.b.Accept(ctx, l.name)
	}
	if err != nil {
		if l.ctx.Err() != nil {
			err = net.ErrClosed
		}
		return nil, opError("accept", l.name, err)
	}
	return l.stack.newFlow("accept", l.name, a)
}

// noRoom reports whether an error is the want of something that others may
// give back.
func noRoom(err error) bool {
	return errors.Is(err, layer.Errno(syscall.EAGAIN)) || errors.Is(err, syscall.EMFILE) ||
		errors.Is(err, syscall.ENFILE) || errors.Is(err, layer.Errno(syscall.EBUSY))
}

// Accept is AcceptFlow for users of net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	f, err := l.AcceptFlow(context.Background())
	if err != nil {
		return nil, err // not a nil *Flow in an interface
	}
	return f, nil
}

// Close ends the binding of the name. Waiting calls return net.ErrClosed; the
// flows that were accepted go on. Idempotent.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.end()
		l.stop()
		l.stack.forget(l)
	})
	return nil
}

// Addr returns the name.
func (l *Listener) Addr() net.Addr { return Addr(l.name) }
