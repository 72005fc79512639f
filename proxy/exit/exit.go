// SPDX-License-Identifier: BSD-3-Clause

// Package exit serves an Ouroboros name by dialling out for others, as far as
// an allow list lets them (DESIGN §6).
//
// Host names are resolved here, and each address they lead to is checked anew:
// a name that points at this machine, or at its neighbours, opens nothing.
//
// Start with New, Start and Close.
package exit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/policy"
	"o7gw/proxy/service"
	"o7gw/proxy/session"
	"o7gw/proxy/udpsock"
)

// Exit is one name being served.
type Exit struct {
	log      *slog.Logger
	book     *ledger.Book
	service  *service.Service
	resolver *net.Resolver
	own      ownAddrs

	mu  sync.Mutex
	cfg *Config // never changed, only replaced
}

// New returns an exit that Start starts.
func New(cfg Config, stack proxy.Stack, log *slog.Logger) *Exit {
	e := &Exit{
		cfg: &cfg, resolver: resolver(cfg.Servers),
		log:  log.With("component", "o7gw/exit", "exit", cfg.Name),
		book: ledger.New("exit", cfg.Name, log),
	}
	known := func(p policy.Peer) bool { return e.config().Policy.Peer(p) }
	e.service = service.New(cfg.Service, stack, e.book, e.log, cfg.Limits, known, e.handle)
	return e
}

// resolver returns a resolver that asks the servers in turn; without any, that
// of the system.
func resolver(servers []netip.AddrPort) *net.Resolver {
	if len(servers) == 0 {
		return net.DefaultResolver
	}
	var turn atomic.Uint32
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		at := servers[int(turn.Add(1)-1)%len(servers)]
		return new(net.Dialer).DialContext(ctx, network, at.String())
	}}
}

// Start registers the name.
func (e *Exit) Start(ctx context.Context) error {
	if err := e.service.Listen(ctx); err != nil {
		return fmt.Errorf("exit %s: %w", e.config().Name, err)
	}
	return nil
}

// Drain gives the name up; sessions go on.
func (e *Exit) Drain() { e.service.Drain() }

// Close ends all sessions and returns when nothing is left.
func (e *Exit) Close() error { return e.service.Close() }

func (e *Exit) config() *Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cfg
}

// Config returns a copy of the configuration in use.
func (e *Exit) Config() Config { return *e.config() }

// Update applies to new sessions what can change at run time, and returns the
// keys that cannot. UDP sessions keep to the new policy at once.
func (e *Exit) Update(cfg Config) []string {
	e.mu.Lock()
	old := e.cfg
	keys := old.needsRestart(&cfg)
	cfg.Name, cfg.Service, cfg.Servers = old.Name, old.Service, old.Servers
	e.cfg = &cfg
	e.mu.Unlock()
	e.service.SetLimits(cfg.Limits)
	return keys
}

// Book returns the sessions.
func (e *Exit) Book() *ledger.Book { return e.book }

// handle serves one flow.
func (e *Exit) handle(ctx context.Context, peer policy.Peer, f *o7s.Flow) {
	cfg := e.config()
	in, err := proxy.Accept(ctx, f)
	if err != nil {
		e.book.Refused(ledger.Info{Peer: peer.Name, Service: cfg.Service}, err)
		return
	}
	info := ledger.Info{Proto: in.Request.Proto, Peer: peer.Name, Service: cfg.Service, Target: target(&in.Request)}
	if in.Request.Source.IsValid() {
		info.Source = in.Request.Source.String()
	}
	var status session.Status
	if in.Request.Proto == session.TCP {
		status = e.tcp(ctx, cfg, peer, in, info)
	} else {
		status = e.udp(ctx, cfg, peer, in, info)
	}
	if status != session.OK {
		e.book.Refused(info, status)
		in.Refuse(status)
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

// addresses returns what of a target the policy allows.
func (e *Exit) addresses(ctx context.Context, cfg *Config, peer policy.Peer, r *session.Request) ([]netip.Addr, session.Status) {
	var all []netip.Addr
	switch {
	case r.Addr.IsValid():
		all = []netip.Addr{r.Addr}
	case r.Host != "":
		found, err := e.resolver.LookupNetIP(ctx, "ip", r.Host)
		if err != nil {
			return nil, session.StatusOf(err)
		}
		all = found
	default:
		return nil, session.BadRequest // a service of this name is not here
	}
	var allowed []netip.Addr
	for _, a := range all {
		if e.allowed(cfg, peer, r, a) {
			allowed = append(allowed, a.Unmap())
		}
	}
	if allowed == nil {
		return nil, session.Denied
	}
	return allowed, session.OK
}

// allowed reports whether a peer may have an address. Those of this machine
// need a rule that names them, like the loopback interface.
func (e *Exit) allowed(cfg *Config, peer policy.Peer, r *session.Request, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if cfg.Policy.Check(peer, *r, a) != session.OK {
		return false
	}
	return !e.own.has(a) || cfg.Policy.Names(peer, *r, a)
}

// tcp dials the target and joins it with the session. Another status than OK
// has still to be sent.
func (e *Exit) tcp(ctx context.Context, cfg *Config, peer policy.Peer, in *proxy.Incoming, info ledger.Info) session.Status {
	limit, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	addrs, status := e.addresses(limit, cfg, peer, &in.Request)
	if status != session.OK {
		return status
	}
	c, err := race(limit, interleave(addrs), in.Request.Port)
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
	s.Close(proxy.Relay(ctx, c, conn, s))
	return session.OK
}

// dnsIdle is the idle time of sessions that ask a DNS server, which rarely ask
// twice (RFC 4787 §4.3 allows a shorter one for well-known ports).
const dnsIdle = 15 * time.Second

// udp gives a session a socket of its own, from which it reaches everything
// that the policy allows: the mapping does not depend on the destination (RFC
// 4787 §4.1). What comes back is passed on if the session has sent something
// to that address before, whatever the port (§5, address-dependent filtering):
// games and calls work, scans do not get in.
func (e *Exit) udp(ctx context.Context, cfg *Config, peer policy.Peer, in *proxy.Incoming, info ledger.Info) session.Status {
	if in.Request.Host == "" && !in.Request.Addr.IsValid() {
		return session.BadRequest
	}
	limit, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	addrs, status := e.addresses(limit, cfg, peer, &in.Request)
	cancel()
	if status != session.OK {
		return status
	}
	first := netip.AddrPortFrom(addrs[0], in.Request.Port)
	network := "udp4"
	if first.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, nil)
	if err != nil {
		return session.StatusOf(err)
	}
	sock, err := udpsock.New(c, false)
	if err != nil {
		c.Close()
		return session.Failed
	}
	flow, err := in.AcceptUDP()
	if err != nil {
		c.Close()
		e.book.Refused(info, err)
		return session.OK
	}
	idle := cfg.IdleUDP
	if in.Request.Port == 53 {
		idle = min(idle, dnsIdle)
	}
	p := &partners{e: e, peer: peer, first: first, known: map[netip.Addr]bool{}}
	s := e.book.Open(info)
	s.Close(udpsock.Relay(ctx, sock, flow, s, udpsock.Rules{Idle: idle, Address: p.address, From: p.from}))
	return session.OK
}

// partnersMost bounds with how many addresses a session can talk.
const partnersMost = 4096

// partners are the addresses with which a UDP session may talk.
type partners struct {
	e     *Exit
	peer  policy.Peer
	first netip.AddrPort // the target of the request

	mu    sync.Mutex
	known map[netip.Addr]bool
	last  netip.AddrPort // that was allowed
}

// address returns where a datagram goes; invalid: nowhere.
func (p *partners) address(to netip.AddrPort) netip.AddrPort {
	if !to.IsValid() {
		to = p.first
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if to == p.last {
		return to
	}
	if to.Addr().Is4() != p.first.Addr().Is4() {
		return netip.AddrPort{} // the socket has one family
	}
	r := session.Request{Proto: session.UDP, Addr: to.Addr(), Port: to.Port()}
	if to != p.first && !p.e.allowed(p.e.config(), p.peer, &r, to.Addr()) {
		return netip.AddrPort{}
	}
	if !p.known[to.Addr()] {
		if len(p.known) >= partnersMost {
			return netip.AddrPort{}
		}
		p.known[to.Addr()] = true
	}
	p.last = to
	return to
}

// from reports whether a datagram of that source is passed on.
func (p *partners) from(a netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[a.Addr()]
}

// ownAddrs are the addresses of this machine, looked up now and then.
type ownAddrs struct {
	mu    sync.Mutex
	when  time.Time
	addrs map[netip.Addr]bool
}

// ownAge is how old the list may be.
const ownAge = 5 * time.Second

func (o *ownAddrs) has(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.when) > ownAge {
		all, err := net.InterfaceAddrs()
		if err != nil {
			return true // safe
		}
		o.when, o.addrs = now, map[netip.Addr]bool{}
		for _, n := range all {
			if p, err := netip.ParsePrefix(n.String()); err == nil {
				o.addrs[p.Addr().Unmap()] = true
			}
		}
	}
	return o.addrs[a]
}

// errNoAddress is for a target without addresses.
var errNoAddress = errors.New("no address")
