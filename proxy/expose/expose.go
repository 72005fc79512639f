// SPDX-License-Identifier: BSD-3-Clause

// Package expose serves an Ouroboros name by TCP and UDP services of this
// machine or its neighbours (DESIGN §6).
//
// Start with New, Start and Close.
package expose

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"o7gw/o7s"
	"o7gw/proxy"
	"o7gw/proxy/health"
	"o7gw/proxy/ledger"
	"o7gw/proxy/policy"
	"o7gw/proxy/service"
	"o7gw/proxy/session"
)

// Expose is one name being served.
type Expose struct {
	log     *slog.Logger
	book    *ledger.Book
	service *service.Service
	cancel  context.CancelFunc // of the health checks
	checks  sync.WaitGroup

	mu  sync.Mutex
	cfg *Config // never changed, only replaced
}

// New returns an expose that Start starts.
func New(cfg Config, stack proxy.Stack, log *slog.Logger) *Expose {
	e := &Expose{
		cfg: &cfg, cancel: func() {},
		log:  log.With("component", "o7gw/expose", "expose", cfg.Name),
		book: ledger.New("expose", cfg.Name, log),
	}
	known := func(p policy.Peer) bool { return e.config().Policy.Peer(p) }
	e.service = service.New(cfg.Service, stack, e.book, e.log, cfg.Limits, known, e.handle)
	return e
}

// Start registers the name; with health checks as soon as the service is found
// to work.
func (e *Expose) Start(ctx context.Context) error {
	cfg := e.config()
	if !cfg.Health.Enabled() {
		if err := e.service.Listen(ctx); err != nil {
			return fmt.Errorf("expose %s: %w", cfg.Name, err)
		}
		return nil
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.cancel = cancel
	e.book.SetState("waiting for the first health check", nil)
	target := cfg.TCP[slices.Min(slices.Collect(maps.Keys(cfg.TCP)))]
	e.checks.Go(func() {
		health.Run(run, cfg.Health, target, func(up bool, err error) { e.judge(run, target, up, err) })
	})
	return nil
}

// judge registers the name, or gives it up, as the service is up or down.
func (e *Expose) judge(ctx context.Context, target string, up bool, err error) {
	if !up {
		e.log.Warn("the service is down: its name is given up", "service", target, "err", err)
		e.service.Unlisten("down", fmt.Errorf("health check of %s: %w", target, err))
		return
	}
	e.log.Info("the service is up", "service", target)
	if err := e.service.Listen(ctx); err != nil {
		e.book.SetState("down", err)
		e.log.Error("the name could not be registered", "err", err)
	}
}

// Drain gives the name up; sessions go on.
func (e *Expose) Drain() {
	e.cancel()
	e.checks.Wait()
	e.service.Drain()
}

// Close ends all sessions and returns when nothing is left.
func (e *Expose) Close() error {
	e.cancel()
	e.checks.Wait()
	return e.service.Close()
}

func (e *Expose) config() *Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cfg
}

// Config returns a copy of the configuration in use.
func (e *Expose) Config() Config { return *e.config() }

// Update applies to new sessions what can change at run time, and returns the
// keys that cannot.
func (e *Expose) Update(cfg Config) []string {
	e.mu.Lock()
	old := e.cfg
	keys := old.needsRestart(&cfg)
	cfg.Name, cfg.Service, cfg.Plain, cfg.Health = old.Name, old.Service, old.Plain, old.Health
	e.cfg = &cfg
	e.mu.Unlock()
	e.service.SetLimits(cfg.Limits)
	return keys
}

// Book returns the sessions.
func (e *Expose) Book() *ledger.Book { return e.book }

// handle serves one flow.
func (e *Expose) handle(ctx context.Context, peer policy.Peer, f *o7s.Flow) {
	cfg := e.config()
	if cfg.Plain {
		e.plain(ctx, cfg, peer, f)
		return
	}
	in, err := proxy.Accept(ctx, f)
	if err != nil {
		e.book.Refused(ledger.Info{Peer: peer.Name, Service: cfg.Service}, err)
		return
	}
	info := ledger.Info{
		Proto: in.Request.Proto, Peer: peer.Name, Service: cfg.Service,
		Source: source(in.Request.Source), Target: strconv.Itoa(int(in.Request.Port)),
	}
	target, status := cfg.target(&in.Request)
	if status == session.OK {
		info.Target = target
		status = cfg.Policy.Check(peer, in.Request, netip.Addr{})
	}
	if status == session.OK {
		if in.Request.Proto == session.TCP {
			status = e.tcp(ctx, cfg, in, target, info)
		} else {
			status = e.udp(ctx, cfg, in, target, info)
		}
	}
	if status != session.OK {
		e.book.Refused(info, status)
		in.Refuse(status)
	}
}

func source(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// target returns the local service of a request.
func (c *Config) target(r *session.Request) (string, session.Status) {
	ports, host := c.TCP, c.AnyTCP
	if r.Proto == session.UDP {
		ports, host = c.UDP, c.AnyUDP
	}
	if r.Host != "" || r.Addr.IsValid() {
		return "", session.Denied // this is no exit
	}
	if r.Port == 0 && len(ports) > 0 {
		return ports[slices.Min(slices.Collect(maps.Keys(ports)))], session.OK
	}
	if t, ok := ports[r.Port]; ok {
		return t, session.OK
	}
	if host != "" && r.Port != 0 {
		return net.JoinHostPort(host, strconv.Itoa(int(r.Port))), session.OK
	}
	return "", session.Refused
}

// tcp joins a session with a connection to the local service. Another status
// than OK has still to be sent.
func (e *Expose) tcp(ctx context.Context, cfg *Config, in *proxy.Incoming, target string, info ledger.Info) session.Status {
	c, err := dial(ctx, "tcp", target, cfg.DialTimeout)
	if err != nil {
		return session.StatusOf(err)
	}
	conn, err := in.AcceptTCP()
	if err != nil {
		service.Reset(c)
		e.book.Refused(info, err)
		return session.OK
	}
	s := e.book.Open(info)
	s.Close(proxy.Relay(ctx, c.(*net.TCPConn), conn, s))
	return session.OK
}

func dial(ctx context.Context, network, target string, limit time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: limit, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 30 * time.Second}}
	return d.DialContext(ctx, network, target)
}

// plain joins a flow without session protocol with the TCP service.
func (e *Expose) plain(ctx context.Context, cfg *Config, peer policy.Peer, f *o7s.Flow) {
	info := ledger.Info{Proto: session.TCP, Peer: peer.Name, Service: cfg.Service}
	for _, info.Target = range cfg.TCP {
	}
	req := session.Request{Proto: session.TCP}
	err := error(session.BadRequest)
	if f.QoS().Reliable() {
		err = cfg.Policy.Check(peer, req, netip.Addr{})
	}
	var c net.Conn
	if err == session.OK {
		c, err = dial(ctx, "tcp", info.Target, cfg.DialTimeout)
	}
	if err != nil {
		e.book.Refused(info, err)
		f.SetLinger(0)
		f.Close()
		return
	}
	s := e.book.Open(info)
	s.Close(proxy.Relay(ctx, c.(*net.TCPConn), proxy.PlainConn(f), s))
}
