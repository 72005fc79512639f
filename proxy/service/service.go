// SPDX-License-Identifier: BSD-3-Clause

// Package service serves an Ouroboros name: it takes the flows that others
// allocate to it, waits for their requests, and lets those pass that the policy
// knows and the limits admit.
//
//	flow ─▶ lobby: waits for its request ─▶ policy, limits ─▶ Handler ─▶ Call.TCP, UDP or Refuse
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

// Handler is what makes a service an expose or an exit.
type Handler interface {
	// Knows reports whether the policy has anything for a peer.
	Knows(peer policy.Peer) bool
	// Serve serves a call on a goroutine of its own. It calls exactly one of
	// Call.TCP, Call.UDP and Call.Refuse, and ends when ctx does.
	Serve(ctx context.Context, c *Call)
}

// Config describes a service.
type Config struct {
	Name   string // Ouroboros name
	Plain  bool   // peers do not speak the session protocol
	Limits policy.Limits
}

// Service is one name being served, or about to.
type Service struct {
	cfg     Config
	stack   proxy.Stack
	book    *ledger.Book
	log     *slog.Logger
	handler Handler

	lobby    *lobby // flows that wait for their request
	dials    *lobby // calls that wait for their target
	limits   *policy.Limiter
	refusing chan struct{} // bounds how many peers are being refused
	running  running

	ctx    context.Context // of calls; ends with Close
	cancel context.CancelFunc
	flows  sync.WaitGroup

	mu       sync.Mutex
	listener proxy.Listener
	stop     context.CancelFunc // of the accept loop
	loop     chan struct{}      // closed when the loop has ended
	drained  bool
}

const (
	// lobbyMost is how many flows may wait for their request.
	lobbyMost = 1024
	// dialsMost is how many calls may wait for their target.
	dialsMost = 1024
	// refusingMost is how many peers are told at a time why they are not
	// served; others just see the end of the flow.
	refusingMost = 256

	// The pauses of the accept loop after an error.
	pauseLeast = 50 * time.Millisecond
	pauseMost  = 5 * time.Second
)

// New returns a service that Listen starts.
func New(cfg Config, stack proxy.Stack, book *ledger.Book, log *slog.Logger, h Handler) *Service {
	s := &Service{
		cfg: cfg, stack: stack, book: book, log: log, handler: h,
		lobby:    newLobby(lobbyMost),
		dials:    newLobby(dialsMost),
		limits:   policy.NewLimiter(cfg.Limits),
		refusing: make(chan struct{}, refusingMost),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// SetLimits changes the limits for new sessions.
func (s *Service) SetLimits(l policy.Limits) { s.limits.Set(l) }

// Listen registers the name and takes flows. It does nothing if it does so
// already; after Drain it fails with net.ErrClosed.
func (s *Service) Listen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	if s.drained {
		return fmt.Errorf("serve %s: %w", s.cfg.Name, net.ErrClosed)
	}
	l, err := s.stack.Listen(ctx, s.cfg.Name)
	if err != nil {
		return fmt.Errorf("serve %s: %w", s.cfg.Name, err)
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
	if s.listener != nil {
		s.stop()
		s.listener.Close()
		<-s.loop
		s.listener = nil
	}
	s.book.SetState(state, why)
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
		switch {
		case ctx.Err() != nil:
			if err == nil {
				abort(f)
			}
			return
		case err == nil:
			if pause > pauseLeast {
				pause = pauseLeast
				s.book.SetState("up", nil)
			}
			s.flows.Go(func() { s.serve(f) })
			continue
		}
		s.book.SetState("down", err)
		s.log.Error("accepting flows failed", "service", s.cfg.Name, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, pauseMost)
	}
}

// serve leads one flow to the handler.
func (s *Service) serve(f *o7s.Flow) {
	// At the end nobody waits until a peer, which may be gone, has everything.
	defer context.AfterFunc(s.ctx, func() {
		f.SetLinger(0)
		f.SetWriteDeadline(time.Now())
	})()
	c := &Call{
		s: s, flow: f,
		Peer:    policy.Peer{Name: f.Peer(), Layer: f.Layer()},
		Request: session.Request{Proto: session.TCP},
	}
	c.Info = ledger.Info{Proto: session.TCP, Peer: c.Peer.Name, Service: s.cfg.Name}
	if s.cfg.Plain {
		if !f.QoS().Reliable() {
			c.Refuse(session.BadRequest)
			return
		}
	} else if err := c.receive(); err != nil {
		s.book.Refused(c.Info, err)
		return
	}
	if !s.handler.Knows(c.Peer) {
		c.Refuse(session.Denied)
		return
	}
	release, status := s.limits.Admit(time.Now(), c.Peer)
	if status != session.OK {
		c.Refuse(status)
		return
	}
	defer release()
	s.handler.Serve(s.ctx, c)
}

// abort closes a flow at once.
func abort(f *o7s.Flow) {
	f.SetLinger(0)
	f.Close()
}
