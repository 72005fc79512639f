// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package intercept takes the TCP connections and UDP datagrams that programs
// of this machine, or machines behind it, send to some destinations, and
// carries them over Ouroboros flows (DESIGN §6).
//
//	kernel ─ TUN ─ netstack ┬ TCP ─ proxy.Dialer ─ proxy.Relay
//	                        └ UDP ─ sessions by source ─ proxy.Packets
//
// Start with New, Start and Close.
package intercept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"o7gw/gateway/routes"
	"o7gw/gateway/tun"
	"o7gw/netstack"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/route"
)

// Names is what an intercept needs of the name service.
type Names interface {
	// Ranges returns the ranges of the addresses that stand for names.
	Ranges() []netip.Prefix
	// Interface returns the addresses in them for the network interface.
	Interface() []netip.Prefix
	// Resolvers returns the addresses in them at which DNS is served.
	Resolvers() []netip.Addr
	// Contains reports whether an address lies in the ranges, Lookup the
	// service that it stands for at present.
	Contains(a netip.Addr) bool
	Lookup(a netip.Addr) (service string, ok bool)
	// Hold keeps a service's address as long as a session uses it; Release
	// ends that. It reports false if it has no address.
	Hold(service string) bool
	Release(service string)
	// Answer answers a DNS message; nil: with silence.
	Answer(ctx context.Context, query []byte, from netip.AddrPort, tcp bool) []byte
	// SplitDNS makes the machine ask the resolvers for the zone, as long as
	// the interface exists.
	SplitDNS(ctx context.Context, device string) error
}

// Env is what an intercept stands on.
type Env struct {
	Dialer *proxy.Dialer
	Table  func(exits []string, prefixes []netip.Prefix) *route.Table // the routes of the moment, with exits for prefixes in front
	Names  Names                                                      // nil: no name service
	RunDir string
	Except []netip.Prefix // destinations that are never taken
	// Own are the UDP sockets of the layers, whose packets are never taken;
	// nil: those of this process.
	Own []netip.AddrPort
	Log *slog.Logger
}

// Intercept is one running intercept.
type Intercept struct {
	env    Env
	log    *slog.Logger
	book   *ledger.Book
	cancel context.CancelFunc
	ctx    context.Context // ends with Close
	wg     sync.WaitGroup

	dev    *tun.Device
	stack  *netstack.Stack
	routes *routes.Applied // nil: none outside of the device
	udp    *sessions
	dns    chan struct{} // a token for each query being answered
	drain  atomic.Bool

	mu  sync.Mutex
	cfg *Config // never changed, only replaced

	table atomic.Pointer[route.Table]
}

// deviceQueue is how many packets may wait in the kernel for the reader of the
// device: 100 ms of 100 000 datagrams per second. Nothing slows a sender of UDP
// down, and TCP is limited by its windows.
const deviceQueue = 10_000

// queriesAtOnce is how many DNS queries are answered at a time.
const queriesAtOnce = 128

// New returns an intercept that Start starts.
func New(cfg Config, env Env) *Intercept {
	i := &Intercept{
		env: env, cfg: &cfg,
		log:  env.Log.With("component", "o7gw/intercept", "intercept", cfg.Name),
		book: ledger.New("intercept", cfg.Name, env.Log),
		dns:  make(chan struct{}, queriesAtOnce),
	}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	i.Retable()
	return i
}

// Start makes the interface and its routes.
func (i *Intercept) Start(ctx context.Context) (err error) {
	cfg := i.Config()
	defer func() {
		if err != nil {
			i.Close()
			err = fmt.Errorf("intercept %s: %w", cfg.Name, err)
		}
	}()
	if cfg.Names && i.env.Names == nil {
		return errors.New("names = true needs a [names] table")
	}
	if i.dev, err = tun.Open(cfg.Device, cfg.MTU); err != nil {
		return err
	}
	if err := i.dev.SetQueue(deviceQueue); err != nil {
		return err
	}
	i.udp = newSessions(i)
	i.stack, err = netstack.New(netstack.Config{
		Device:    i.dev,
		NewWriter: func() netstack.Writer { return i.dev.NewWriter() },
		MTU:       cfg.MTU,
		TCP:       i.tcp,
		UDP:       i.udp.handle,
		Echo:      i.echo,
		Limits: netstack.Limits{
			HalfOpen: cfg.MaxHalfOpen, HalfOpenPerSource: max(1, cfg.MaxHalfOpen/2),
			Conns: cfg.MaxSessions, ConnsPerSource: cfg.MaxPerSource,
		},
		Log: i.env.Log,
	})
	if err != nil {
		return err
	}
	if err := i.attract(ctx, &cfg); err != nil {
		return err
	}
	i.wg.Go(func() { i.udp.sweep(i.ctx) })
	i.book.SetState("up", nil)
	i.log.Info("intercept is up", "device", i.dev.Name(), "prefixes", cfg.Prefixes, "names", cfg.Names)
	return nil
}

// attract makes the kernel send packets for the destinations to the interface.
func (i *Intercept) attract(ctx context.Context, cfg *Config) error {
	addrs, dest := cfg.Addresses, cfg.Prefixes
	if cfg.Names {
		addrs = append(slices.Clone(addrs), i.env.Names.Interface()...)
		dest = append(slices.Clone(dest), i.env.Names.Ranges()...)
	}
	if err := i.dev.SetAddrs(addrs); err != nil {
		return err
	}
	if len(cfg.From)+len(cfg.Iif) > 0 || slices.ContainsFunc(dest, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		applied, err := routes.Apply(i.env.RunDir, routes.Plan{Device: i.dev.Name(), Prefixes: dest, From: cfg.From, Iif: cfg.Iif, Except: i.env.Except, Own: i.env.Own})
		if err != nil {
			return err
		}
		i.routes = applied
	} else {
		for _, p := range dest {
			if err := i.dev.AddRoute(p); err != nil {
				return err
			}
		}
	}
	if cfg.Names {
		return i.env.Names.SplitDNS(ctx, i.dev.Name())
	}
	return nil
}

// Drain takes no new sessions; those that run go on.
func (i *Intercept) Drain() {
	i.drain.Store(true)
	if i.udp != nil {
		i.udp.all.Drain()
	}
	i.book.SetState("draining", nil)
}

// Close ends all sessions and removes the interface and its routes. It returns
// when nothing of it is left.
func (i *Intercept) Close() error {
	i.cancel()
	var errs []error
	if i.routes != nil {
		errs = append(errs, i.routes.Remove())
		i.routes = nil
	}
	if i.dev != nil {
		errs = append(errs, i.dev.Close())
	}
	if i.stack != nil {
		errs = append(errs, i.stack.Close())
	}
	if i.udp != nil {
		i.udp.all.Close()
	}
	i.wg.Wait()
	return errors.Join(errs...)
}

// Config returns a copy of the configuration in use.
func (i *Intercept) Config() Config {
	i.mu.Lock()
	defer i.mu.Unlock()
	return *i.cfg
}

// Update applies to new sessions what can change at run time, and returns the
// keys that cannot.
func (i *Intercept) Update(cfg Config) []string {
	i.mu.Lock()
	keys := i.cfg.needsRestart(&cfg)
	now := *i.cfg
	now.Exits, now.IdleUDP = cfg.Exits, cfg.IdleUDP
	i.cfg = &now
	i.mu.Unlock()
	if i.udp != nil {
		i.udp.all.SetIdle(now.IdleUDP)
	}
	i.Retable()
	return keys
}

// Retable reads the routes again.
func (i *Intercept) Retable() {
	cfg := i.Config()
	i.table.Store(i.env.Table(cfg.Exits, cfg.Prefixes))
}

// Book returns the sessions.
func (i *Intercept) Book() *ledger.Book { return i.book }

// Device returns the name of the interface; empty before Start.
func (i *Intercept) Device() string {
	if i.dev == nil {
		return ""
	}
	return i.dev.Name()
}

// Stack returns the counters of TCP/IP.
func (i *Intercept) Stack() netstack.Stats { return i.stack.Stats() }

// echo reports whether a ping is answered: for the resolvers and for names
// that were asked for, never for somebody else.
func (i *Intercept) echo(dst netip.Addr) bool {
	if n := i.env.Names; n != nil && n.Contains(dst) {
		if i.resolver(dst) {
			return true
		}
		_, ok := n.Lookup(dst)
		return ok
	}
	return false
}

// hold keeps the address of a named service while a session uses it.
func (i *Intercept) hold(dst netip.Addr, service string) (release func()) {
	n := i.env.Names
	if n == nil || !n.Contains(dst) || !n.Hold(service) {
		return func() {}
	}
	return func() { n.Release(service) }
}

// resolver reports whether DNS is served at an address.
func (i *Intercept) resolver(dst netip.Addr) bool {
	return i.env.Names != nil && slices.Contains(i.env.Names.Resolvers(), dst)
}
