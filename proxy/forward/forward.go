// SPDX-License-Identifier: BSD-3-Clause

// Package forward makes a service by Ouroboros name, or a target beyond an
// exit, reachable at local TCP and UDP addresses (DESIGN §6). It needs no
// privileges.
//
// Start with New, Start and Close.
package forward

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
	"sync/atomic"
	"time"

	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/listen"
	"o7gw/proxy/session"
)

// Config describes one forward. The package trusts what gateway/config has
// checked.
type Config struct {
	Name     string           // of the object
	TCP, UDP []netip.AddrPort // where to listen
	Service  string           // Ouroboros name
	Port     uint16           // of the service; 0: its only or first one
	Host     string           // not empty: this host, or address, beyond the exit Service
	Plain    bool             // the service does not speak the session protocol

	QoS         qos.Spec // zero: the default of the protocol
	MaxSessions int      // TCP and UDP, each
	IdleUDP     time.Duration
}

// Defaults returns a Config with the defaults of the configuration file.
func Defaults() Config {
	return Config{MaxSessions: 4096, IdleUDP: 3 * time.Minute}
}

// request is what the forward asks the service for.
func (c *Config) request(from netip.AddrPort) session.Request {
	r := session.Request{Host: c.Host, Port: c.Port, Source: from}
	if a, err := netip.ParseAddr(c.Host); err == nil {
		r.Host, r.Addr = "", a.Unmap()
	}
	return r
}

// target writes what the forward leads to.
func (c *Config) target() string {
	if c.Host == "" {
		return c.Service
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
}

// Forward is one forward.
type Forward struct {
	dialer *proxy.Dialer
	log    *slog.Logger
	book   *ledger.Book
	tcp    *listen.TCP
	gate   *listen.Gate // of UDP clients

	cfg atomic.Pointer[Config] // never changed, only replaced

	mu      sync.Mutex
	udp     map[netip.AddrPort]*listen.UDP
	drained bool
}

// New returns a forward that Start starts.
func New(cfg Config, d *proxy.Dialer, log *slog.Logger) *Forward {
	f := &Forward{
		dialer: d, udp: map[netip.AddrPort]*listen.UDP{},
		log:  log.With("component", "o7gw/forward", "forward", cfg.Name),
		book: ledger.New("forward", cfg.Name, log),
	}
	f.cfg.Store(&cfg)
	f.tcp = listen.NewTCP(f.log, f.book, cfg.MaxSessions, f.serve)
	f.gate = listen.NewGate(cfg.MaxSessions)
	return f
}

// Start opens the local addresses.
func (f *Forward) Start(context.Context) error {
	cfg := f.cfg.Load()
	err := f.tcp.Listen(cfg.TCP)
	if err == nil {
		err = f.listenUDP(cfg)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("forward %s: %w", cfg.Name, err)
	}
	f.book.SetState("up", nil)
	return nil
}

// listenUDP opens the addresses of UDP and closes, with their sessions, those
// that were open before and are not among them. If one cannot be opened all
// stays as it was.
func (f *Forward) listenUDP(cfg *Config) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drained {
		return net.ErrClosed
	}
	opened := map[netip.AddrPort]*listen.UDP{}
	for _, at := range cfg.UDP {
		if f.udp[at] != nil || opened[at] != nil {
			continue
		}
		u, err := listen.ListenUDP(at, f.gate, cfg.IdleUDP, f.book, f.dial)
		if err != nil {
			for _, o := range opened {
				o.Close()
			}
			return err
		}
		opened[at] = u
	}
	for at, u := range f.udp {
		if !slices.Contains(cfg.UDP, at) {
			u.Close()
			delete(f.udp, at)
		}
	}
	maps.Copy(f.udp, opened)
	return nil
}

// Addrs returns the local addresses that are open.
func (f *Forward) Addrs() (tcp, udp []netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.udp {
		udp = append(udp, u.Addr())
	}
	slices.SortFunc(udp, netip.AddrPort.Compare)
	return f.tcp.Addrs(), udp
}

// Drain closes the local addresses of TCP; sessions go on. UDP clients that
// have a session keep it, new ones get none.
func (f *Forward) Drain() {
	f.tcp.Drain()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drained = true
	for _, u := range f.udp {
		u.Drain()
	}
	f.book.SetState("draining", nil)
}

// Close ends all sessions and returns when nothing is left.
func (f *Forward) Close() error {
	f.tcp.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drained = true
	for at, u := range f.udp {
		u.Close()
		delete(f.udp, at)
	}
	return nil
}

// Config returns a copy of the configuration in use.
func (f *Forward) Config() Config { return *f.cfg.Load() }

// Update applies a configuration to new sessions, and returns the keys that
// could not be applied. Of local addresses that change those are opened and
// closed that differ; sessions of UDP end with the address of their client.
func (f *Forward) Update(cfg Config) (restart []string) {
	old := f.cfg.Load()
	err := f.tcp.Listen(cfg.TCP)
	if err == nil {
		if err = f.listenUDP(&cfg); err != nil {
			f.tcp.Listen(old.TCP)
		}
	}
	if err != nil {
		f.log.Error("the new local addresses could not be opened, the old ones stay", "err", err)
		restart = append(restart, "listen")
		cfg.TCP, cfg.UDP = old.TCP, old.UDP
	}
	cfg.Name = old.Name
	f.tcp.SetMax(cfg.MaxSessions)
	f.gate.Set(cfg.MaxSessions)
	f.cfg.Store(&cfg)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.udp {
		u.SetIdle(cfg.IdleUDP)
	}
	return restart
}

// Book returns the sessions.
func (f *Forward) Book() *ledger.Book { return f.book }

// serve carries one TCP connection.
func (f *Forward) serve(ctx context.Context, c *net.TCPConn) {
	cfg := f.cfg.Load()
	from := listen.Source(c)
	info := ledger.Info{Proto: session.TCP, Source: from.String(), Target: cfg.target(), Service: cfg.Service}
	var conn *proxy.Conn
	var err error
	if cfg.Plain {
		conn, err = f.dialer.DialPlain(ctx, cfg.Service, cfg.QoS)
	} else {
		conn, err = f.dialer.DialTCP(ctx, cfg.Service, cfg.QoS, cfg.request(from))
	}
	if err != nil {
		f.book.Refused(info, err)
		listen.Reset(c) // it says that nobody is there
		return
	}
	info.Peer = conn.Flow().Peer()
	s := f.book.Open(info)
	s.Close(proxy.Relay(ctx, c, conn, s))
}

// dial begins the session of a UDP client.
func (f *Forward) dial(ctx context.Context, from netip.AddrPort) (*proxy.Packets, ledger.Info, error) {
	cfg := f.cfg.Load()
	info := ledger.Info{Proto: session.UDP, Source: from.String(), Target: cfg.target(), Service: cfg.Service}
	p, err := f.dialer.DialUDP(ctx, cfg.Service, cfg.QoS, cfg.request(from))
	return p, info, err
}
