// SPDX-License-Identifier: BSD-3-Clause

// Package service serves an Ouroboros name: it takes the flows that others
// allocate to it, checks who they are, and hands them on.
//
// Start with New; packages expose and exit are made of it.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"o7gw/o7s"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/policy"
	"o7gw/proxy/session"
)

// Handler serves one flow of a peer that the policy knows and the limits
// admit. It ends when ctx does.
type Handler func(ctx context.Context, peer policy.Peer, f *o7s.Flow)

// Service is one name being served, or about to.
type Service struct {
	name   string
	stack  proxy.Stack
	book   *ledger.Book
	log    *slog.Logger
	handle Handler
	limits *policy.Limiter
	known  func(policy.Peer) bool // whether the policy has anything for a peer

	ctx    context.Context // of sessions; ends with Close
	cancel context.CancelFunc
	flows  sync.WaitGroup

	mu       sync.Mutex
	listener proxy.Listener
	stop     context.CancelFunc // of the accept loop
	loop     chan struct{}      // closed when the loop has ended
	drained  bool
}

// pauses of the accept loop after an error.
const (
	pauseLeast = 50 * time.Millisecond
	pauseMost  = 5 * time.Second
)

// New returns a service of the name that Listen starts.
func New(name string, stack proxy.Stack, book *ledger.Book, log *slog.Logger, l policy.Limits, known func(policy.Peer) bool, handle Handler) *Service {
	s := &Service{name: name, stack: stack, book: book, log: log, handle: handle, known: known, limits: policy.NewLimiter(l)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// SetLimits changes the limits for new sessions.
func (s *Service) SetLimits(l policy.Limits) { s.limits.Set(l) }

// Listen registers the name and takes flows. It does nothing if it does so
// already, or after Drain.
func (s *Service) Listen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil || s.drained {
		return nil
	}
	l, err := s.stack.Listen(ctx, s.name)
	if err != nil {
		return fmt.Errorf("serve %s: %w", s.name, err)
	}
	run, stop := context.WithCancel(s.ctx)
	s.listener, s.stop, s.loop = l, stop, make(chan struct{})
	go s.accept(run, l, s.loop)
	s.book.SetState("up", nil)
	return nil
}

// Unlisten gives the name up; sessions go on. The state is for status.
func (s *Service) Unlisten(state string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.SetState(state, why)
	if s.listener == nil {
		return
	}
	s.stop()
	s.listener.Close()
	<-s.loop
	s.listener = nil
}

// Drain gives the name up for good.
func (s *Service) Drain() {
	s.mu.Lock()
	s.drained = true
	s.mu.Unlock()
	s.Unlisten("draining", nil)
}

// Close ends all sessions and returns when nothing is left.
func (s *Service) Close() error {
	s.Drain()
	s.cancel()
	s.flows.Wait()
	return nil
}

// accept takes flows until ctx ends.
func (s *Service) accept(ctx context.Context, l proxy.Listener, ended chan struct{}) {
	defer close(ended)
	pause := pauseLeast
	for {
		f, err := l.AcceptFlow(ctx)
		if ctx.Err() != nil {
			if err == nil {
				f.SetLinger(0)
				f.Close()
			}
			return
		}
		if err != nil {
			s.book.SetState("down: "+err.Error(), err)
			s.log.Error("accepting flows failed", "name", s.name, "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, pauseMost)
			continue
		}
		if pause > pauseLeast {
			pause = pauseLeast
			s.book.SetState("up", nil)
		}
		s.take(f)
	}
}

// take checks the peer of a flow and starts its handler.
func (s *Service) take(f *o7s.Flow) {
	peer := policy.Peer{Name: f.Peer(), Layer: f.Layer()}
	status := session.Denied
	var release func()
	if s.known(peer) {
		release, status = s.limits.Admit(time.Now(), peer)
	}
	if status != session.OK {
		s.book.Refused(ledger.Info{Peer: peer.Name, Service: s.name}, status)
		s.flows.Go(func() { refuse(s.ctx, f, status) })
		return
	}
	s.flows.Go(func() {
		defer release()
		s.handle(s.ctx, peer, f)
	})
}

// refusals bounds how many refused peers are told so at a time; the others just
// see the end of the flow.
var refusals = make(chan struct{}, 64)

// refuse tells a peer why it is not served.
func refuse(ctx context.Context, f *o7s.Flow, status session.Status) {
	select {
	case refusals <- struct{}{}:
		defer func() { <-refusals }()
	default:
		f.SetLinger(0)
		f.Close()
		return
	}
	in, err := proxy.Accept(ctx, f)
	if err == nil {
		in.Refuse(status)
	}
}

// Reset aborts a kernel connection.
func Reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
