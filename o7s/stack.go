// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/qos"
)

// Backend is a resource manager as the library sees it: that of a daemon
// behind its socket, or one in this process.
type Backend interface {
	// Alloc requests a flow to the name and waits for the answer.
	Alloc(ctx context.Context, name string, qs qos.Spec) (*flow.Attachment, error)
	// Accept waits for a flow to the name, or to any name bound to this
	// process or its program if it is empty.
	Accept(ctx context.Context, name string) (*flow.Attachment, error)
	// Query returns nil if a flow to the name is possible.
	Query(ctx context.Context, name string) error
	// Join joins a broadcast layer.
	Join(ctx context.Context, layerName string) (*flow.Attachment, error)
	// Listen binds this process to the name, which is created if missing,
	// and registers it in every layer. stop undoes that.
	Listen(ctx context.Context, name string) (stop func(), err error)
	Close() error
}

// Stack makes flows. All methods may be called from several goroutines.
type Stack struct {
	b    Backend
	host *flow.Host

	mu     sync.Mutex
	closed bool
	open   map[closer]struct{} // flows, listeners and sets
}

type closer interface{ Close() error }

// NewStack returns a Stack on the backend and takes it over. Programs call
// Connect, or node.New, instead.
func NewStack(b Backend) *Stack {
	return &Stack{b: b, host: flow.NewHost(), open: map[closer]struct{}{}}
}

// closeLinger is how long the peers of flows that are closed with their Stack may take
// nothing of what was written.
const closeLinger = 2 * time.Second

// Close closes all flows, listeners and sets of the Stack, and its backend. Who wants to
// be sure that a reliable flow has delivered everything closes it before: here its
// peer gets two seconds. Not from within a receiver of a flow.
func (s *Stack) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	open := s.open
	s.open = nil
	s.mu.Unlock()
	errs := make([]error, len(open), len(open)+2)
	var wg sync.WaitGroup
	i := 0
	for c := range open {
		if f, ok := c.(*Flow); ok && f.f.QoS().InOrder != 0 { // may have to wait
			n := i
			f.f.ShortenLinger(closeLinger)
			wg.Go(func() { errs[n] = f.Close() })
		} else {
			errs[i] = c.Close()
		}
		i++
	}
	wg.Wait()
	errs = append(errs, s.host.Close(), s.b.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// hold remembers c, to close it with the Stack. It reports false, and does
// not remember it, if the Stack is closed.
func (s *Stack) hold(c closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *Stack) forget(c closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}
