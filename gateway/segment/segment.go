// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package segment is an Ethernet LAN over Ouroboros (DESIGN §6,
// docs/segment.md): a TAP device at each member, and between them a switch
// that learns which MAC address is behind which flow, so that what finds
// others by broadcast or multicast (ARP, DHCP, mDNS, games) works.
//
//	kernel ─ TAP ─ reader ─ lane ┬ flow to a member ─ …
//	                             └ flow to all of a broadcast layer ─ …
//	flow ─ lane ┬ TAP
//	            └ other flows, if the segment relays
//
// Each frame carries who brought it in and a number: loops and double ways
// bring every frame once. What goes to all is limited for each port.
//
// Start with New, Segment.Start and Segment.Close.
package segment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/gateway/backoff"
	"o7gw/gateway/tunnel"
	"o7gw/o7s/packet"
)

// Network makes flows.
type Network interface {
	tunnel.Network
	// Join joins a broadcast layer.
	Join(ctx context.Context, layerName string) (tunnel.Flow, error)
}

// Segment is one running member of a segment.
type Segment struct {
	net    Network
	log    *slog.Logger
	id     uint64 // of this member, as long as it runs
	seq    uint32 // of the next frame of the interface; its reader's
	base   time.Time
	cancel context.CancelFunc
	wg     sync.WaitGroup

	dev     *tap
	sink    func() sink   // makes one for a lane
	mac     atomic.Uint64 // of the interface
	local   *port
	table   *table
	repeats *repeats
	view    atomic.Pointer[view]

	mu       sync.Mutex
	cfg      *Config // never changed, only replaced
	ports    []*port // flows, oldest first
	ended    totals  // of flows that are gone
	lastErr  error
	failures int
}

// New returns a segment that Start starts.
func New(cfg Config, network Network, log *slog.Logger) *Segment {
	return &Segment{
		cfg: &cfg, net: network, base: time.Now(), id: rand.Uint64() | 1,
		log:   log.With("component", "o7gw/segment", "segment", cfg.Name),
		table: newTable(cfg.MaxMACs), repeats: newRepeats(),
	}
}

// clock returns the time in ns.
func (s *Segment) clock() int64 { return int64(time.Since(s.base)) }

// Start creates the interface and registers the names, then returns; members
// come and go in the background until Close.
func (s *Segment) Start(ctx context.Context) (err error) {
	cfg := s.config()
	s.base = time.Now()
	var listeners []tunnel.Listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			if s.dev != nil {
				s.dev.close()
				s.dev = nil
			}
			err = fmt.Errorf("segment %s: %w", cfg.Name, err)
		}
	}()
	if s.dev, err = openTAP(cfg.Device); err != nil {
		return err
	}
	if err := s.dev.setMTU(cfg.MTU); err != nil {
		return err
	}
	mac, err := s.dev.hardwareAddr()
	if err != nil {
		return err
	}
	s.mac.Store(mac)
	for _, name := range cfg.Listen {
		l, err := s.net.Listen(ctx, name)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	s.sink = func() sink { return newWriter(s.dev) }
	s.local = newPort(s, local, nil, "")
	s.view.Store(s.newView())
	// Up only now: what hosts ask when their link comes up shall be heard.
	if err := s.dev.up(cfg.Addresses); err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.wg.Go(func() { s.readTAP(run) })
	s.wg.Go(func() { s.sweep(run) })
	for i, l := range listeners {
		s.wg.Go(func() { s.serve(run, cfg.Listen[i], l) })
	}
	for _, name := range cfg.Connect {
		s.wg.Go(func() { s.connect(run, name, connected) })
	}
	if cfg.Layer != "" {
		s.wg.Go(func() { s.connect(run, cfg.Layer, broadcast) })
	}
	s.log.Info("segment is up", "device", s.dev.name, "addresses", cfg.Addresses)
	return nil
}

// Close ends the segment and removes its interface. It returns when nothing
// of it is left. Idempotent.
func (s *Segment) Close() error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	err := s.dev.close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	s.wg.Wait()
	return err
}

// Drain does nothing: a segment has no sessions that end by themselves.
func (s *Segment) Drain() {}

// config returns the configuration of the moment.
func (s *Segment) config() *Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// Config returns a copy of the configuration in use.
func (s *Segment) Config() Config { return *s.config() }

// Update applies the keys of cfg that can change at run time, and returns the
// others in which it differs: those keep their value.
func (s *Segment) Update(cfg Config) (restart []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.cfg
	restart = old.keep(&cfg)
	if s.dev != nil && cfg.MTU != old.MTU {
		if err := s.dev.setMTU(cfg.MTU); err != nil {
			s.log.Warn("the MTU stays as it is", "err", err)
			cfg.MTU = old.MTU
			restart = append(restart, "mtu")
		}
	}
	s.cfg = &cfg
	s.view.Store(s.newView())
	return restart
}

// readTAP carries frames of the interface until it is closed.
func (s *Segment) readTAP(ctx context.Context) {
	bufs := make([]*packet.Buffer, packet.BatchSize)
	r := newReader(s.dev)
	room := s.view.Load().maxFrame + 1 // one more shows what is too long
	packet.GetBatch(bufs, room)
	for {
		if now := s.view.Load().maxFrame + 1; now > room {
			room = now
			packet.ReleaseBatch(bufs)
			packet.GetBatch(bufs, room)
		}
		n, err := r.read(bufs, room)
		if err != nil {
			packet.ReleaseBatch(bufs)
			if ctx.Err() == nil {
				s.log.Error("the network interface failed; the segment is dead", "device", s.dev.name, "err", err)
				s.note(err)
			}
			return
		}
		s.local.lane.fromTAP(bufs[:n])
		packet.GetBatch(bufs[:n], room)
	}
}

// deliver writes the frames of a lane that are for the interface.
func (s *Segment) deliver(l *lane) {
	frames, bytes := len(l.local), 0
	for _, b := range l.local {
		bytes += b.Len()
	}
	dropped := l.sink.write(l.local)
	l.local = l.local[:0]
	s.local.tx.dropped.Add(uint64(dropped))
	if dropped < frames {
		s.local.tx.add(frames-dropped, bytes)
	}
}

// sweep forgets stations that are not heard any more.
func (s *Segment) sweep(ctx context.Context) {
	for {
		age := s.config().Age
		if !backoff.Sleep(ctx, min(max(age/8, 100*time.Millisecond), 30*time.Second)) {
			return
		}
		s.table.age(s.clock() - int64(age))
		if mac, err := s.dev.hardwareAddr(); err == nil {
			s.mac.Store(mac) // somebody may have changed it
		}
	}
}

// add gives a flow its port; false if there are enough.
func (s *Segment) add(p *port) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.kind == accepted {
		n := 0
		for _, q := range s.ports {
			if q.kind == accepted {
				n++
			}
		}
		if n >= s.cfg.MaxPeers {
			return false
		}
	}
	s.ports = append(s.ports, p)
	s.view.Store(s.newView())
	return true
}

// remove takes a port out of the switch. What was behind it is sought
// everywhere from now on.
func (s *Segment) remove(p *port) {
	p.gone.Store(true)
	s.mu.Lock()
	s.ports = slices.DeleteFunc(s.ports, func(q *port) bool { return q == p })
	s.ended.add(p)
	s.view.Store(s.newView())
	s.mu.Unlock()
	s.table.forget(p)
}

// meet notes who is at the other end of a flow.
func (s *Segment) meet(p *port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Store(s.newView())
	p.log.Debug("met a member", "id", fmt.Sprintf("%016x", p.neighbour.Load()))
}

// newView builds what the data path reads; s.mu is held, or the segment not
// started. With a broadcast layer frames to all go there and nowhere else,
// unless the segment relays between those that are in it and those that are
// not.
func (s *Segment) newView() *view {
	v := &view{relay: s.cfg.Relay, maxFrame: s.cfg.maxFrame(), rate: s.cfg.FloodRate}
	layered := slices.ContainsFunc(s.ports, func(p *port) bool { return p.kind == broadcast })
	for _, p := range s.ports {
		if p.kind == broadcast || !layered || v.relay {
			v.flood = append(v.flood, p)
		}
		if id := p.neighbour.Load(); layered && id != 0 {
			if v.byID == nil {
				v.byID = map[uint64]*port{}
			}
			if v.byID[id] == nil { // the older flow keeps it
				v.byID[id] = p
			}
		}
	}
	return v
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
