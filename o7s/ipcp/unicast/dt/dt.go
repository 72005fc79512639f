// SPDX-License-Identifier: BSD-3-Clause

// Package dt is the data transfer of a unicast layer (spec 20 §3 to §5, §11): it
// puts the header in front of the layer's packets, forwards those of others and
// hands those for this member to its components and flows. It runs to completion
// in the goroutine that brings a batch: no queue, no lock, no allocation.
//
//	port ─▶ Neighbour ─┬─▶ other destination: TTL, table, ECN ─▶ port of the next hop
//	                   └─▶ self: EID < 64 ─▶ component, else ─▶ Flows
//	Send ─▶ header ─▶ table, ECN ─▶ port of the next hop
//
// Start with New, give it components and Flows, then Add neighbours; Table says
// which of them is the next hop of a destination, Send sends.
//
// The QoS cube in the header decides, other than in the prototype, which ignores
// it (DT-7), how urgent a packet is at every hop: it becomes the mark of the buffer
// (packet.Buffer.SetCube), by which the layers below sort. A value that names no
// cube counts as best effort and is carried unchanged.
package dt

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/ipcp/unicast/pff"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Components is the number of EIDs that are kept for components: 0 to 63 (spec 20
// §3.3). Larger ones are of flows.
const Components = 64

// DefaultMTU is the MTU, in bytes, that a member without neighbours states: what
// fits into an Ethernet frame under some headers.
const DefaultMTU = 1400

// firstNumber is the number of the first neighbour in the statistics, behind
// those of the components.
const firstNumber = Components

// ErrNoRoute is returned for a destination that the table has no usable next
// hop for, this member itself among them.
var ErrNoRoute = errors.New("no route to the address in the layer")

// Config is what a DT does not change.
type Config struct {
	Self     uint64     // address of this member
	AddrSize int        // of the layer, 1 to 8 bytes
	MaxTTL   int        // of own packets, 1 to 255 hops
	Policy   pff.Policy // of the forwarding table
	Mark     ca.Policy  // marks packets by the queues they meet
	Log      *slog.Logger
}

// Flows takes the packets for flows.
type Flows interface {
	// Deliver takes a run of packets, without headers, for one endpoint with
	// one congestion mark. It owns the buffers, not the slice. Several
	// neighbours may deliver at the same time; it must not block.
	Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer)
}

// DT is the data transfer of one member.
type DT struct {
	self   uint64
	format Format
	head   int // length of the header
	ttl    uint8
	mark   ca.Policy
	log    *slog.Logger

	table      *pff.Table[*Neighbour]
	flows      atomic.Pointer[Flows]
	components [Components]*component

	mu         sync.Mutex // held to change neighbours
	neighbours atomic.Pointer[[]*Neighbour]

	noRoute atomic.Uint64 // own packets
}

// component is the receiver of an EID below Components.
type component struct {
	receive func(pkts []*packet.Buffer)
	since   time.Time

	delivered, asked, noRoute cubes
}

// New returns a DT without neighbours. It panics if the sizes are out of their
// ranges: the caller has checked the configuration.
func New(cfg Config) *DT {
	format := Format(cfg.AddrSize)
	if !format.valid() || cfg.MaxTTL < 1 || cfg.MaxTTL > 255 {
		panic("dt: address size or TTL out of range")
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &DT{
		self: cfg.Self, format: format, head: format.Len(), ttl: uint8(cfg.MaxTTL), mark: cfg.Mark, log: log,
		table: pff.New[*Neighbour](cfg.Policy),
	}
	d.neighbours.Store(new([]*Neighbour))
	return d
}

// Component sets the receiver of an EID below Components. Call it before the
// first Add. f owns the buffers, not the slice; several neighbours may call it at
// the same time; it must not block.
func (d *DT) Component(eid uint64, f func(pkts []*packet.Buffer)) {
	d.components[eid] = &component{receive: f, since: time.Now()}
}

// SetFlows sets who takes packets for flows. Until then they are dropped.
func (d *DT) SetFlows(f Flows) { d.flows.Store(&f) }

// Table returns the forwarding table, which the routing fills.
func (d *DT) Table() *pff.Table[*Neighbour] { return d.table }

// Add makes the port of a Data Transfer connection a neighbour, of which an
// address may have several, and begins to receive from it: packets, and events,
// which go to the function event, may come before Add returns. Nothing is sent to it
// before the table mentions it.
func (d *DT) Add(addr uint64, port layer.Port, qs qos.Spec, event func(layer.Event)) *Neighbour {
	n := &Neighbour{dt: d, addr: addr, port: port, qos: qs, event: event, since: time.Now()}
	n.queuer, _ = port.(layer.Queuer)
	n.unread, _ = port.(layer.Backlogger)
	n.in.init(n)
	d.mu.Lock()
	old := *d.neighbours.Load()
	used := make(map[int]bool, len(old))
	for _, o := range old {
		used[o.number] = true
	}
	for n.number = firstNumber; used[n.number]; n.number++ {
	}
	list := append(slices.Clone(old), n)
	d.neighbours.Store(&list)
	d.mu.Unlock()
	port.Receive(n)
	return n
}

// Remove ends the use of a neighbour's port, which stays open: packets and
// events from it are dropped, and it is taken out of the table. Idempotent.
func (d *DT) Remove(n *Neighbour) {
	n.removed.Store(true)
	d.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(*d.neighbours.Load()), func(o *Neighbour) bool { return o == n })
	d.neighbours.Store(&list)
	d.mu.Unlock()
	d.table.Remove(n)
}

// MTU returns the largest packet, in bytes without header, that Send carries to
// every neighbour, or DefaultMTU if there is none.
func (d *DT) MTU() int {
	list := *d.neighbours.Load()
	if len(list) == 0 {
		return DefaultMTU
	}
	mtu := list[0].port.MTU()
	for _, n := range list[1:] {
		mtu = min(mtu, n.port.MTU())
	}
	return max(0, mtu-d.head)
}

// Reachable reports whether there is a next hop for the destination now. This
// member itself has none.
func (d *DT) Reachable(dst uint64) bool {
	_, ok := d.next(dst, 0)
	return ok
}

// next returns the next hop of the flow eid to dst.
func (d *DT) next(dst, eid uint64) (*Neighbour, bool) {
	if dst == d.self {
		return nil, false
	}
	return d.table.Lookup(dst, eid)
}
