// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/gateway/tunnel"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// Why a flow ends.
var (
	errPeerGone  = errors.New("peer closed the flow")
	errSmallFlow = errors.New("flow is too small for fragments of frames")
	errTooMany   = errors.New("segment has no room for another peer")
)

// minFlow is the smallest MTU of a flow that is used, bytes.
const minFlow = 128

// port is one port of the switch: the local interface, a flow to another
// member, or the flow to all members of a broadcast layer.
type port struct {
	kind  kind
	flow  tunnel.Flow // nil for the interface
	mtu   int         // of the flow, bytes
	name  string      // under which the flow was made
	log   *slog.Logger
	since time.Time
	limit int // of macs

	lane   *lane // carries what comes in
	hello  chan struct{}
	closed chan struct{}
	once   sync.Once

	gone      atomic.Bool   // what still comes of it is not learnt
	down      atomic.Bool   // the layer cannot carry packets now
	neighbour atomic.Uint64 // id of the member at the other end, 0: not known yet
	macs      atomic.Int64  // stations behind it
	rx, tx    traffic
	counts    counts
}

// kind is what a port leads to.
type kind uint8

const (
	local     kind = iota // the interface of this machine
	accepted              // a member that connected to us
	connected             // a member that we connected to
	broadcast             // all members of a layer
)

// String names the kind in the status.
func (k kind) String() string {
	return [...]string{"local", "accepted", "connected", "layer"}[k]
}

// traffic counts frames of one direction.
type traffic struct{ frames, bytes, dropped atomic.Uint64 }

func (t *traffic) add(frames, bytes int) {
	t.frames.Add(uint64(frames))
	t.bytes.Add(uint64(bytes))
}

// counts tells why frames that came in at a port went nowhere.
type counts struct {
	malformed, repeated, filtered, flooding, incomplete atomic.Uint64
}

// room reports whether another station may be learnt.
func (p *port) room() bool { return p.macs.Load() < int64(p.limit) }

// Packets takes a batch from the flow. It neither blocks nor allocates.
func (p *port) Packets(pkts []*packet.Buffer) { p.lane.fromFlow(pkts) }

// Event takes a change of the flow.
func (p *port) Event(e layer.Event) {
	switch e {
	case layer.Closed:
		p.close()
	case layer.Down:
		p.down.Store(true)
	case layer.Up:
		p.down.Store(false)
	}
}

func (p *port) close() { p.once.Do(func() { close(p.closed) }) }

// send gives packets, headers and frames, to the flow, in fragments where they
// are too long for it. It takes the buffers, not the slice; frags is memory
// that the caller keeps for it.
func (p *port) send(pkts []*packet.Buffer, frags *[]*packet.Buffer) {
	frames, bytes, long := 0, 0, false
	for _, b := range pkts {
		frames++
		bytes += b.Len() - headerLen
		long = long || b.Len() > p.mtu
	}
	out := pkts
	if long {
		out = (*frags)[:0]
		for _, b := range pkts {
			if b.Len() <= p.mtu {
				out = append(out, b)
				continue
			}
			n := b.Len() - headerLen
			var ok bool
			if out, ok = split(out, b, p.mtu); !ok {
				p.tx.dropped.Add(1)
				frames--
				bytes -= n
			}
		}
		*frags = out
	}
	if len(out) > 0 {
		if err := p.flow.WriteBatch(out); err != nil {
			p.tx.dropped.Add(uint64(frames))
			frames, bytes = 0, 0
		}
		p.tx.add(frames, bytes)
	}
	if long {
		clear(*frags)
	}
}

// How often a member tells the other end of a flow who it is: soon again while
// the first may have been lost.
const (
	helloFirst = 250 * time.Millisecond
	helloLast  = 8 * time.Second
)

// run carries the flow until it or ctx ends, and closes it.
func (s *Segment) run(ctx context.Context, p *port) error {
	defer p.flow.Close()
	if p.mtu < minFlow {
		return errSmallFlow
	}
	if !s.add(p) {
		return errTooMany
	}
	defer s.remove(p)
	p.flow.Receive(p)
	pause := helloFirst
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.closed:
			return errPeerGone
		case <-p.hello:
			s.meet(p)
		case <-t.C:
			if p.kind != broadcast {
				s.sayHello(p)
				t.Reset(pause)
				pause = min(2*pause, helloLast)
			}
		}
	}
}

// sayHello tells the member at the other end who we are.
func (s *Segment) sayHello(p *port) {
	h := header{typ: typeHello, id: s.id}
	b := packet.Get(headerLen)
	h.put(b.Extend(headerLen))
	if err := p.flow.WriteBatch([]*packet.Buffer{b}); err != nil {
		p.tx.dropped.Add(1)
	}
}

func newPort(s *Segment, k kind, f tunnel.Flow, name string) *port {
	cfg := s.config()
	p := &port{
		kind: k, flow: f, name: name, since: time.Now(), limit: cfg.MaxMACs, log: s.log,
		hello: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if f != nil {
		p.mtu, p.log = f.MTU(), s.log.With("flow", f.ID())
		p.limit = cfg.macsPerPeer()
	}
	p.lane = newLane(s, p)
	return p
}
