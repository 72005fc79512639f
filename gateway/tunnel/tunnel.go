// SPDX-License-Identifier: BSD-3-Clause

// Package tunnel carries IP packets between a TUN device and Ouroboros flows
// (DESIGN §6, docs/tunnel.md): the job of ovpn, for many peers, IPv4 and IPv6.
//
// A server tunnel accepts flows for a name, a client tunnel keeps one flow to
// a name. Both ends announce in band which prefixes are behind them; packets
// go to the peer with the longest matching prefix, and are taken from a peer
// only if it announced their source and the configuration allows it. In plain
// mode there is one peer and no announcement, as ovpn does it.
//
// Start with New, Tunnel.Start and Tunnel.Close.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"o7gw/gateway/backoff"
	"o7gw/gateway/ip"
	"o7gw/gateway/tun"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Flow is what a tunnel needs of a flow; *o7s.Flow is one.
type Flow interface {
	// WriteBatch takes the buffers, not the slice, and does not block for
	// long.
	WriteBatch(pkts []*packet.Buffer) error
	Receive(r layer.Receiver)
	MTU() int
	ID() int
	Close() error
}

// Network makes flows.
type Network interface {
	// Dial allocates a flow to the name.
	Dial(ctx context.Context, name string, qs qos.Spec) (Flow, error)
	Listen(ctx context.Context, name string) (Listener, error)
}

// Listener gives the flows that others allocate to a name.
type Listener interface {
	AcceptFlow(ctx context.Context) (Flow, error)
	Close() error
}

// Sink takes packets for the kernel; *tun.Writer is one.
type Sink interface {
	// Write takes the buffers and clears the slice.
	Write(pkts []*packet.Buffer)
	Stats() tun.WriterStats
}

// Device is the virtual network interface.
type Device interface {
	Name() string
	Room() int
	Wait(answers uint64) error
	Ready() bool
	Read(bufs []*packet.Buffer) (int, error)
	NewWriter() Sink
	SetAddrs(addrs []netip.Prefix) error
	SetMTU(mtu, perPacket int) error
	AddRoute(p netip.Prefix) error
	DelRoute(p netip.Prefix) error
	Close() error
}

const (
	// firstMTU is the MTU, in bytes, before the first flow is known: the
	// smallest that carries IPv6.
	firstMTU = ip.MinMTU6
	// minMTU is the smallest MTU for an interface, bytes: every IPv4 host
	// takes packets of this size.
	minMTU = 576
	// layerOverhead is what the layers below add to a packet at least, bytes.
	layerOverhead = 8
	// dialLimit bounds one attempt to allocate a flow.
	dialLimit = 20 * time.Second
	// steady is how long a connection must hold for the next pause to be
	// short again.
	steady = 30 * time.Second
)

// view is what the data path reads of the tunnel's state, replaced as a whole.
type view struct {
	table               *bart.Table[*peer] // prefix to peer
	clamp, relay, plain bool
}

// Tunnel is one running tunnel.
type Tunnel struct {
	net    Network
	log    *slog.Logger
	open   func(name string, mtu int) (Device, error)
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	dev    Device
	out    *outbound
	view   atomic.Pointer[view]
	errors limiter
	// answers counts batches that were written to the device.
	answers atomic.Uint64

	mu       sync.Mutex
	cfg      *Config // never changed, only replaced
	peers    []*peer // oldest first
	routes   map[netip.Prefix]bool
	mtu      int
	lastErr  error
	attempts int
	started  time.Time
	admitted uint64 // peers so far
	past     totals // of peers that are gone
}

// totals is what peers have carried.
type totals struct{ rxPackets, rxBytes, txPackets, txBytes uint64 }

func (s *totals) add(p *peer) {
	s.rxPackets += p.rx.packets.Load()
	s.rxBytes += p.rx.bytes.Load()
	s.txPackets += p.tx.packets.Load()
	s.txBytes += p.tx.bytes.Load()
}

// New returns a tunnel that Start starts.
func New(cfg Config, network Network, log *slog.Logger) *Tunnel {
	return &Tunnel{
		cfg: &cfg, net: network, routes: map[netip.Prefix]bool{},
		log:  log.With("component", "o7gw/tunnel", "tunnel", cfg.Name),
		open: openTUN,
	}
}

type realDevice struct{ *tun.Device }

func (d realDevice) NewWriter() Sink { return d.Device.NewWriter() }

func openTUN(name string, mtu int) (Device, error) {
	d, err := tun.Open(name, mtu)
	if err != nil {
		return nil, err
	}
	return realDevice{d}, nil
}

// Start creates the interface, and for a server registers the name, then
// returns; peers come and go in the background until Close.
func (t *Tunnel) Start(ctx context.Context) error {
	cfg := t.config()
	t.started = time.Now()
	if err := t.openDevice(cfg); err != nil {
		return fmt.Errorf("tunnel %s: %w", cfg.Name, err)
	}
	dev := t.dev
	var l Listener
	if cfg.Listen != "" {
		var err error
		if l, err = t.net.Listen(ctx, cfg.Listen); err != nil {
			dev.Close()
			return fmt.Errorf("tunnel %s: %w", cfg.Name, err)
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.ctx, t.cancel = run, cancel
	t.wg.Go(func() {
		if err := t.out.loop(); !errors.Is(err, tun.ErrClosed) || run.Err() == nil {
			t.log.Error("the network interface failed; the tunnel is dead", "device", dev.Name(), "err", err)
			t.note(err)
		}
	})
	t.wg.Go(func() {
		if l != nil {
			t.serve(run, l)
		} else {
			t.connect(run)
		}
	})
	t.log.Info("tunnel is up", "device", dev.Name(), "addresses", cfg.Addresses)
	return nil
}

// Close ends the tunnel and removes its interface. It returns when nothing of
// it is left.
func (t *Tunnel) Close() error {
	if t.cancel == nil {
		return nil
	}
	t.cancel()
	err := t.dev.Close()
	t.wg.Wait()
	return err
}

// config returns the configuration of the moment.
func (t *Tunnel) config() *Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg
}

// Config returns a copy of the configuration in use.
func (t *Tunnel) Config() Config { return *t.config() }

// Drain does nothing: a tunnel has no sessions that end by themselves.
func (t *Tunnel) Drain() {}

// Update applies the keys of cfg that can change at run time, and returns the
// others in which it differs: those keep their value.
func (t *Tunnel) Update(cfg Config) (restart []string) {
	t.mu.Lock()
	old := t.cfg
	restart = old.needsRestart(&cfg)
	cfg.Device, cfg.Listen, cfg.Connect = old.Device, old.Listen, old.Connect
	cfg.Plain, cfg.Addresses = old.Plain, old.Addresses
	t.cfg = &cfg
	t.view.Store(t.newView())
	t.applyLocked()
	peers := slices.Clone(t.peers)
	t.mu.Unlock()
	for _, p := range peers {
		p.tell()
	}
	return restart
}

// serve accepts peers until ctx ends.
func (t *Tunnel) serve(ctx context.Context, l Listener) {
	var peers sync.WaitGroup
	defer peers.Wait()
	defer l.Close()
	failed := func(err error) (least, most time.Duration) {
		t.log.Error("accepting a peer failed", "err", err)
		t.note(err)
		cfg := t.config()
		return cfg.ReconnectMin, cfg.ReconnectMax
	}
	backoff.Accept(ctx, l.AcceptFlow, failed, func(f Flow) {
		peers.Go(func() {
			p := newPeer(t, f)
			err := p.run(ctx, func() { t.note(nil) })
			if ctx.Err() == nil {
				p.log.Info("peer is gone", "reason", err)
			}
		})
	})
}

// connect keeps a flow to the server until ctx ends.
func (t *Tunnel) connect(ctx context.Context) {
	var pause backoff.Backoff
	for {
		start, err := t.session(ctx)
		if ctx.Err() != nil {
			return
		}
		t.note(err)
		if !start.IsZero() && time.Since(start) > steady {
			pause.Reset()
		}
		cfg := t.config()
		d := pause.Next(cfg.ReconnectMin, cfg.ReconnectMax)
		t.log.Warn("not connected; trying again", "name", cfg.Connect, "pause", d.Round(time.Millisecond), "err", err)
		if !backoff.Sleep(ctx, d) {
			return
		}
	}
}

// session allocates one flow and carries it to its end. It returns when
// traffic began to pass, or the zero time.
func (t *Tunnel) session(ctx context.Context) (start time.Time, err error) {
	cfg := t.config()
	dctx, cancel := context.WithTimeout(ctx, dialLimit)
	f, err := t.net.Dial(dctx, cfg.Connect, cfg.FlowQoS())
	cancel()
	if err != nil {
		return start, err
	}
	p := newPeer(t, f)
	err = p.run(ctx, func() {
		start = time.Now()
		t.note(nil)
		p.log.Info("connected", "name", cfg.Connect)
	})
	return start, err
}

// note records the outcome of an attempt for status.
func (t *Tunnel) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastErr = err
	if err != nil {
		t.attempts++
	} else {
		t.attempts = 0
	}
}
