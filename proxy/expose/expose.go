// SPDX-License-Identifier: BSD-3-Clause

// Package expose serves an Ouroboros name by TCP and UDP services of this
// machine or its neighbours (DESIGN §6).
//
// Several gateways may expose one name: whoever dials gets one of them, and
// another one when that is gone.
//
// Start with New, Start and Close.
package expose

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/policy"
	"o7gw/proxy/service"
	"o7gw/proxy/session"
	"o7gw/proxy/udpsock"
)

// Expose is one name being served.
type Expose struct {
	log     *slog.Logger
	book    *ledger.Book
	service *service.Service
	cfg     atomic.Pointer[Config] // what it points at never changes

	mu      sync.Mutex // of Start, Update, Drain and Close
	checker *checker   // nil: no health checks
	state   state
}

// listenLimit is how long Update waits for the registration of the name.
const listenLimit = 10 * time.Second

// state is what has been asked of an expose: new, started, drained.
type state int

const (
	isNew state = iota
	isStarted
	isDrained
)

// New returns an expose that Start starts.
func New(cfg Config, stack proxy.Stack, log *slog.Logger) *Expose {
	e := &Expose{
		log:  log.With("component", "o7gw/expose", "expose", cfg.Name),
		book: ledger.New("expose", cfg.Name, log),
	}
	e.cfg.Store(&cfg)
	e.service = service.New(service.Config{Name: cfg.Service, Plain: cfg.Plain, Limits: cfg.Limits}, stack, e.book, e.log, handler{e})
	return e
}

// Start registers the name; with health checks as soon as the service is found
// to work.
func (e *Expose) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	cfg := e.cfg.Load()
	switch {
	case e.state == isStarted:
	case e.state == isNew && cfg.checked():
		e.checker = e.check(cfg.Health)
	default:
		if err := e.service.Listen(ctx); err != nil {
			return fmt.Errorf("expose %s: %w", cfg.Name, err)
		}
	}
	e.state = isStarted
	return nil
}

// Drain gives the name up; sessions go on.
func (e *Expose) Drain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drainLocked()
	e.service.Drain()
}

func (e *Expose) drainLocked() {
	e.state = isDrained
	e.checker.stop()
	e.checker = nil
}

// Close ends all sessions and returns when nothing is left.
func (e *Expose) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drainLocked()
	return e.service.Close()
}

// Config returns a copy of the configuration in use.
func (e *Expose) Config() Config { return *e.cfg.Load() }

// Book returns the sessions.
func (e *Expose) Book() *ledger.Book { return e.book }

// Update applies a configuration, and returns the keys that cannot be changed
// at run time. Sessions go on as they began, also those whose local service is
// another one now; those that the new policy forbids end.
func (e *Expose) Update(cfg Config) (restart []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.cfg.Load()
	restart = old.needsRestart(&cfg)
	cfg.Name, cfg.Service, cfg.Plain = old.Name, old.Service, old.Plain
	e.cfg.Store(&cfg)
	e.service.SetLimits(cfg.Limits)
	if n := e.service.Recheck(); n > 0 {
		e.log.Info("the new policy has ended sessions", "sessions", n)
	}
	if e.state != isStarted || old.checked() == cfg.checked() && old.Health == cfg.Health {
		return restart
	}
	// The name stays as it is until the first new check says something else.
	e.checker.stop()
	e.checker = nil
	if cfg.checked() {
		e.checker = e.check(cfg.Health)
		return restart
	}
	ctx, cancel := context.WithTimeout(context.Background(), listenLimit)
	defer cancel()
	if err := e.service.Listen(ctx); err != nil {
		e.book.SetState("down", err)
		e.log.Error("the name could not be registered", "err", err)
		return append(restart, "health")
	}
	return restart
}

// handler serves the calls of an Expose.
type handler struct{ *Expose }

// Knows reports whether the policy has anything for a peer.
func (e handler) Knows(p policy.Peer) bool { return e.cfg.Load().Policy.Knows(p) }

// Serve serves one call.
func (e handler) Serve(ctx context.Context, c *service.Call) {
	cfg := e.cfg.Load()
	c.Info.Target = strconv.Itoa(int(c.Request.Port))
	at, port, status := cfg.target(&c.Request)
	if status != session.OK {
		c.Refuse(status)
		return
	}
	c.Info.Target = at
	req := c.Request
	req.Port = port
	allowed := func() bool { return e.cfg.Load().Policy.Check(c.Peer, req, netip.Addr{}) == session.OK }
	if !allowed() {
		c.Refuse(session.Denied)
		return
	}
	if req.Proto == session.TCP {
		var conn *net.TCPConn
		err := c.Dial(ctx, func(ctx context.Context) (err error) {
			conn, err = dialTCP(ctx, at, cfg.DialTimeout)
			return err
		})
		if err != nil {
			c.Refuse(err)
			return
		}
		c.TCP(ctx, conn, allowed)
		return
	}
	var sock *udpsock.Socket
	err := c.Dial(ctx, func(ctx context.Context) (err error) {
		sock, err = dialUDP(ctx, at, cfg.DialTimeout)
		return err
	})
	if err != nil {
		c.Refuse(err)
		return
	}
	c.UDP(ctx, sock, udpsock.Rules{Idle: cfg.IdleUDP}, allowed)
}
