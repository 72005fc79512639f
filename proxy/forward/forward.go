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
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"sync"
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
	udp    []*listen.UDP

	mu  sync.Mutex
	cfg *Config // never changed, only replaced
}

// New returns a forward that Start starts.
func New(cfg Config, d *proxy.Dialer, log *slog.Logger) *Forward {
	f := &Forward{
		cfg: &cfg, dialer: d,
		log:  log.With("component", "o7gw/forward", "forward", cfg.Name),
		book: ledger.New("forward", cfg.Name, log),
	}
	f.tcp = listen.NewTCP(f.log, cfg.MaxSessions, f.serve)
	return f
}

// Start opens the local addresses.
func (f *Forward) Start(context.Context) error {
	cfg := f.config()
	if err := f.tcp.Listen(cfg.TCP); err != nil {
		f.Close()
		return fmt.Errorf("forward %s: %w", cfg.Name, err)
	}
	for _, at := range cfg.UDP {
		u, err := listen.ListenUDP(at, cfg.MaxSessions, cfg.IdleUDP, f.book, f.dial)
		if err != nil {
			f.Close()
			return fmt.Errorf("forward %s: %w", cfg.Name, err)
		}
		f.udp = append(f.udp, u)
	}
	f.book.SetState("up", nil)
	return nil
}

// Drain closes the local addresses of TCP; sessions go on. UDP clients that
// have a session keep it, new ones get none.
func (f *Forward) Drain() {
	f.tcp.Drain()
	for _, u := range f.udp {
		u.Drain()
	}
	f.book.SetState("draining", nil)
}

// Close ends all sessions and returns when nothing is left.
func (f *Forward) Close() error {
	f.tcp.Close()
	for _, u := range f.udp {
		u.Close()
	}
	return nil
}

func (f *Forward) config() *Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cfg
}

// Config returns a copy of the configuration in use.
func (f *Forward) Config() Config { return *f.config() }

// Update applies to new sessions what can change at run time, and returns the
// keys that cannot.
func (f *Forward) Update(cfg Config) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.cfg
	var keys []string
	if !reflect.DeepEqual(old.TCP, cfg.TCP) || !reflect.DeepEqual(old.UDP, cfg.UDP) {
		keys = append(keys, "listen")
	}
	if old.MaxSessions != cfg.MaxSessions {
		keys = append(keys, "max_sessions")
	}
	if old.IdleUDP != cfg.IdleUDP {
		keys = append(keys, "idle_udp")
	}
	cfg.Name, cfg.TCP, cfg.UDP = old.Name, old.TCP, old.UDP
	cfg.MaxSessions, cfg.IdleUDP = old.MaxSessions, old.IdleUDP
	f.cfg = &cfg
	return keys
}

// Book returns the sessions.
func (f *Forward) Book() *ledger.Book { return f.book }

// serve carries one TCP connection.
func (f *Forward) serve(ctx context.Context, c *net.TCPConn) {
	cfg := f.config()
	from := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
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
		f.log.Info("not connected", "service", cfg.Service, "err", err)
		c.SetLinger(0) // a reset says that nobody is there
		c.Close()
		return
	}
	info.Peer = conn.Flow().Peer()
	s := f.book.Open(info)
	s.Close(proxy.Relay(ctx, c, conn, s))
}

// dial begins the session of a UDP client.
func (f *Forward) dial(ctx context.Context, from netip.AddrPort) (*proxy.Packets, ledger.Info, error) {
	cfg := f.config()
	info := ledger.Info{Proto: session.UDP, Source: from.String(), Target: cfg.target(), Service: cfg.Service}
	p, err := f.dialer.DialUDP(ctx, cfg.Service, cfg.QoS, cfg.request(from))
	return p, info, err
}
