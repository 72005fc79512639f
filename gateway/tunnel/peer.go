// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"o7gw/gateway/ip"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// exchangeLimit is how long a peer may stay without announcing itself: then it
// is no o7gw, or cannot hear us.
const exchangeLimit = 10 * time.Second

// controlQueue is how many control packets of a peer wait for its goroutine;
// more are dropped, the peer sends them again.
const controlQueue = 32

// A peer that was restarted, or whose path is broken, may take our packets
// without a word. If it was silent for quiet while we sent to it, or another
// peer claims a prefix that it has, it is asked
// for a sign of life: our announcement goes out again. It is dead silentLimit
// after the last packet.
const (
	quiet       = 500 * time.Millisecond
	silentLimit = 2500 * time.Millisecond
)

var (
	errPeerGone    = errors.New("peer closed the flow")
	errNoExchange  = errors.New(`peer does not speak the tunnel protocol: if it is an ovpn, set mode = "plain"`)
	errSilent      = errors.New("peer does not answer any more")
	errSmallFlow   = errors.New("flow is too small for control packets")
	errTooMany     = errors.New("tunnel has no room for another peer")
	minControlFlow = headerLen + entryLen6
)

// peer is one flow of the tunnel and what is known of its other end. Its
// goroutine (run) owns the exchange; the data path enters through Packets
// (from the flow) and send (to it).
type peer struct {
	t    *Tunnel
	flow Flow
	log  *slog.Logger
	sink Sink // to the TUN device, used by Packets only

	allowed  atomic.Pointer[bart.Lite] // sources; nil: none yet
	mtu      atomic.Int32              // largest packet to send, bytes
	control  chan []byte
	kick     chan struct{} // the configuration changed
	closed   chan struct{}
	closing  sync.Once
	since    time.Time
	prefixes []netip.Prefix // under t.mu: accepted ones

	// Of Packets only.
	lastSrc    netip.Addr       // the source that was checked last …
	lastSet    *bart.Lite       // … against this set
	relayRun   []*packet.Buffer // packets for relayTo
	relayTo    *peer
	exchanged  atomic.Bool
	down       atomic.Bool
	heard      atomic.Bool // a batch arrived since converse looked
	doubted    atomic.Bool // another peer claims a prefix of this one
	rx, tx     traffic
	badSource  atomic.Uint64
	malformed  atomic.Uint64
	badControl atomic.Uint64
}

// traffic counts packets of one direction. Only one goroutine at a time adds
// to rx; several may add to tx.
type traffic struct{ packets, bytes, dropped atomic.Uint64 }

func newPeer(t *Tunnel, f Flow) *peer {
	p := &peer{
		t: t, flow: f, sink: t.dev.NewWriter(),
		control: make(chan []byte, controlQueue),
		kick:    make(chan struct{}, 1),
		closed:  make(chan struct{}),
		since:   time.Now(),
		log:     t.log.With("flow", f.ID()),
	}
	p.mtu.Store(int32(f.MTU()))
	return p
}

// run carries the flow until it or ctx ends, and closes it. established is
// called once traffic can pass.
func (p *peer) run(ctx context.Context, established func()) error {
	defer p.flow.Close()
	cfg := p.t.config()
	if !cfg.Plain && p.flow.MTU() < minControlFlow {
		return errSmallFlow
	}
	if !p.t.add(p) {
		return errTooMany
	}
	defer p.t.remove(p)
	p.flow.Receive(p)
	if cfg.Plain {
		p.accept(cfg.allowed(), 0)
		established()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-p.closed:
				return errPeerGone
			case <-p.kick:
				p.accept(p.t.config().allowed(), 0)
			}
		}
	}
	return p.converse(ctx, established)
}

// converse runs the prefix exchange for the life of the flow.
func (p *peer) converse(ctx context.Context, established func()) error {
	x := exchange{flowMTU: p.flow.MTU()}
	cfg := p.t.config()
	x.announce(time.Now(), cfg.announced(), p.flow.MTU())
	announced := cfg.announced()
	deadline := time.NewTimer(exchangeLimit)
	defer deadline.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	look := time.NewTicker(quiet)
	defer look.Stop()
	last, sent, asked := time.Now(), uint64(0), false // heard; tx.packets then
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.closed:
			return errPeerGone
		case <-deadline.C:
			if !x.known {
				return errNoExchange
			}
		case <-again.C:
		case now := <-look.C:
			switch tx := p.tx.packets.Load(); {
			case p.heard.Swap(false) || !x.known:
				last, sent, asked = now, tx, false
			case asked && now.Sub(last) >= silentLimit:
				return errSilent
			case !asked && (tx != sent || p.doubted.Load()):
				p.doubted.Store(false)
				last, asked = now.Add(-quiet), true
				x.announce(now, announced, p.flow.MTU())
			}
		case <-p.kick:
			if now := p.t.config().announced(); !slices.Equal(now, announced) {
				announced = now
				x.announce(time.Now(), now, p.flow.MTU())
			}
			if x.known {
				p.accept(x.theirs, x.theirMTU)
			}
		case b := <-p.control:
			was := x.done()
			reply, changed, err := x.handle(b, p.refuse)
			if err != nil {
				p.badControl.Add(1)
				p.log.Debug("ignored a control packet", "err", err)
				continue
			}
			if changed {
				first := !p.exchanged.Swap(true)
				p.accept(x.theirs, x.theirMTU)
				if first {
					established()
				}
			}
			if reply != nil {
				p.sendControl(reply)
			}
			if !was && x.done() && x.refused > 0 {
				p.log.Warn("peer does not accept some of our prefixes: its allow list lacks them", "refused", x.refused)
			}
		}
		send, next := x.poll(time.Now())
		for _, b := range send {
			p.sendControl(b)
		}
		if !next.IsZero() {
			again.Reset(time.Until(next))
		}
	}
}

// refuse counts the prefixes that accept would leave out or cut.
func (p *peer) refuse(announced []netip.Prefix) int {
	n := 0
	cfg := p.t.config()
	for _, a := range announced {
		if !covered(a, cfg.allowed()) || cfg.isOwn(a) {
			n++
		}
	}
	return n
}

// accept makes the announced prefixes, as far as the configuration allows
// them, the peer's: it may send from them and gets what goes to them. mtu is
// the largest packet that the peer takes, 0 if unknown.
func (p *peer) accept(announced []netip.Prefix, mtu int) {
	cfg := p.t.config()
	ours := announced
	if !cfg.Plain {
		ours = intersect(announced, cfg.allowed())
		ours = slices.DeleteFunc(ours, cfg.isOwn)
	}
	limit := p.flow.MTU()
	if mtu > 0 {
		limit = min(limit, mtu)
	}
	p.mtu.Store(int32(limit))
	p.t.accepted(p, ours)
	p.log.Info("peer is reachable", "prefixes", ours, "mtu", limit)
}

// Packets takes a batch from the flow: the other half of the data path. It
// checks where each packet claims to come from, and hands the batch to the
// device. It neither blocks nor allocates.
func (p *peer) Packets(pkts []*packet.Buffer) {
	if !p.heard.Load() {
		p.heard.Store(true)
	}
	allowed := p.allowed.Load()
	v := p.t.view.Load()
	clampTo := 0
	if v.clamp {
		clampTo = int(p.mtu.Load())
	}
	kept, bytes := 0, 0
	for _, b := range pkts {
		raw := b.Bytes()
		if !v.plain && isControl(raw) {
			p.takeControl(b)
			continue
		}
		h, err := ip.Parse(raw)
		switch {
		case err != nil:
			p.malformed.Add(1)
			b.Release()
			continue
		case allowed == nil || !p.maySend(raw, allowed):
			p.badSource.Add(1)
			b.Release()
			continue
		}
		if clampTo > 0 {
			ip.ClampMSS(raw, h, clampTo)
		}
		bytes += len(raw)
		if v.relay && p.relay(b, h, v) {
			continue
		}
		pkts[kept] = b
		kept++
	}
	p.flushRelay()
	clear(pkts[kept:])
	p.rx.packets.Add(uint64(kept))
	p.rx.bytes.Add(uint64(bytes))
	p.sink.Write(pkts[:kept])
	p.t.answers.Add(1)
}

// maySend checks the source of raw. Batches come from few sources: the last
// answer is kept.
func (p *peer) maySend(raw []byte, allowed *bart.Lite) bool {
	src := ip.Src(raw)
	if src == p.lastSrc && allowed == p.lastSet {
		return true
	}
	if !allowed.Contains(src) {
		return false
	}
	p.lastSrc, p.lastSet = src, allowed
	return true
}

// takeControl hands a control packet to the peer's goroutine.
func (p *peer) takeControl(b *packet.Buffer) {
	select {
	case p.control <- slices.Clone(b.Bytes()):
	default:
		p.badControl.Add(1)
	}
	b.Release()
}

// Event takes a change of the flow.
func (p *peer) Event(e layer.Event) {
	switch e {
	case layer.Closed:
		p.closing.Do(func() { close(p.closed) })
	case layer.Down:
		p.down.Store(true)
	case layer.Up:
		p.down.Store(false)
	}
}

// send gives the packets to the flow. It takes the buffers, not the slice.
func (p *peer) send(pkts []*packet.Buffer) {
	n := uint64(len(pkts))
	if n == 0 {
		return
	}
	bytes := 0
	for _, b := range pkts {
		bytes += b.Len()
	}
	if err := p.flow.WriteBatch(pkts); err != nil {
		p.tx.dropped.Add(n)
		return
	}
	p.tx.packets.Add(n)
	p.tx.bytes.Add(uint64(bytes))
}

// sendControl sends a control packet. It is not counted as traffic: two ends
// that ask each other must not take that for something to say.
func (p *peer) sendControl(raw []byte) {
	b := packet.Get(len(raw))
	b.Append(raw)
	if err := p.flow.WriteBatch([]*packet.Buffer{b}); err != nil {
		p.tx.dropped.Add(1)
	}
}

// sendBytes sends one IP packet.
func (p *peer) sendBytes(raw []byte) {
	b := packet.Get(len(raw))
	b.Append(raw)
	p.send([]*packet.Buffer{b})
}

// tell wakes the peer's goroutine after a change of the configuration.
func (p *peer) tell() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}
