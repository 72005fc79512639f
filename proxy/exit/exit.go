// SPDX-License-Identifier: BSD-3-Clause

// Package exit serves an Ouroboros name by dialling out for others, as far as
// an allow list lets them (DESIGN §6, docs/policy.md).
//
// Host names are resolved here, and each address they lead to is checked anew:
// a name that points at this machine, or at its neighbours, opens nothing.
//
// Start with New, Start and Close.
package exit

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/policy"
	"o7gw/proxy/service"
	"o7gw/proxy/session"
)

// Exit is one name being served.
type Exit struct {
	log      *slog.Logger
	book     *ledger.Book
	service  *service.Service
	resolver *net.Resolver
	own      ownAddrs
	cfg      atomic.Pointer[Config] // what it points at never changes
	mu       sync.Mutex             // of Update
}

// New returns an exit that Start starts.
func New(cfg Config, stack proxy.Stack, log *slog.Logger) *Exit {
	e := &Exit{
		resolver: resolver(cfg.Servers),
		log:      log.With("component", "o7gw/exit", "exit", cfg.Name),
		book:     ledger.New("exit", cfg.Name, log),
	}
	e.cfg.Store(&cfg)
	e.service = service.New(service.Config{Name: cfg.Service, Limits: cfg.Limits}, stack, e.book, e.log, handler{e})
	return e
}

// Start registers the name.
func (e *Exit) Start(ctx context.Context) error {
	if err := e.service.Listen(ctx); err != nil {
		return fmt.Errorf("exit %s: %w", e.cfg.Load().Name, err)
	}
	return nil
}

// Drain gives the name up; sessions go on.
func (e *Exit) Drain() { e.service.Drain() }

// Close ends all sessions and returns when nothing is left.
func (e *Exit) Close() error { return e.service.Close() }

// Config returns a copy of the configuration in use.
func (e *Exit) Config() Config { return *e.cfg.Load() }

// Book returns the sessions.
func (e *Exit) Book() *ledger.Book { return e.book }

// Update applies a configuration, and returns the keys that cannot be changed
// at run time. Sessions go on; those that the new policy forbids end.
func (e *Exit) Update(cfg Config) (restart []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.cfg.Load()
	restart = old.needsRestart(&cfg)
	cfg.Name, cfg.Service, cfg.Servers = old.Name, old.Service, old.Servers
	e.cfg.Store(&cfg)
	e.service.SetLimits(cfg.Limits)
	if n := e.service.Recheck(); n > 0 {
		e.log.Info("the new policy has ended sessions", "sessions", n)
	}
	return restart
}

// handler serves the calls of an Exit.
type handler struct{ *Exit }

// Knows reports whether the policy has anything for a peer.
func (e handler) Knows(p policy.Peer) bool { return e.cfg.Load().Policy.Knows(p) }

// Serve serves one call.
func (e handler) Serve(ctx context.Context, c *service.Call) {
	// A host that is an address is one: rules for hosts are about names.
	if a, err := netip.ParseAddr(c.Request.Host); err == nil {
		c.Request.Host, c.Request.Addr = "", a.Unmap()
	}
	c.Info.Target = target(&c.Request)
	switch {
	case c.Request.Host == "" && !c.Request.Addr.IsValid(), c.Request.Port == 0:
		c.Refuse(session.BadRequest) // a service of this name is not here
		return
	case !e.cfg.Load().Policy.Could(c.Peer, c.Request):
		c.Refuse(session.Denied)
		return
	}
	if c.Request.Proto == session.TCP {
		e.tcp(ctx, c)
	} else {
		e.udp(ctx, c)
	}
}

// target writes what is asked for.
func target(r *session.Request) string {
	host := r.Host
	if host == "" && r.Addr.IsValid() {
		host = r.Addr.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(r.Port)))
}

// tcp dials the target and joins it with the call.
func (e *Exit) tcp(ctx context.Context, c *service.Call) {
	r := race{
		port:    c.Request.Port,
		dial:    dialTCP,
		allowed: func(a netip.Addr) bool { return e.allowed(c.Peer, &c.Request, a) },
	}
	var conn net.Conn
	err := c.Dial(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, e.cfg.Load().DialTimeout)
		defer cancel()
		conn, err = r.run(ctx, e.lookUp(ctx, &c.Request))
		return err
	})
	if err != nil {
		c.Refuse(err)
		return
	}
	at := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if c.Request.Host != "" {
		c.Info.Target += " (" + at.String() + ")"
	}
	c.TCP(ctx, conn.(*net.TCPConn), func() bool { return e.allowed(c.Peer, &c.Request, at) })
}

// allowed reports whether a peer may have an address, as the policy is now.
// What leads back into this gateway needs a rule that names it.
func (e *Exit) allowed(peer policy.Peer, r *session.Request, a netip.Addr) bool {
	cfg := e.cfg.Load()
	a = a.Unmap().WithZone("")
	if cfg.Policy.Check(peer, *r, a) != session.OK {
		return false
	}
	for _, p := range cfg.Own {
		if p.Contains(a) && cfg.Policy.Names(peer, *r, a, p) != session.OK {
			return false
		}
	}
	return !e.own.has(a) || cfg.Policy.Names(peer, *r, a, netip.PrefixFrom(a, a.BitLen())) == session.OK
}
