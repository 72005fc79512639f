// SPDX-License-Identifier: BSD-3-Clause

package dt

import "o7gw/o7s/packet"

// bins is how many next hops, and how many endpoints, the packets of a batch are
// sorted into before those so far are sent on.
const bins = 8

// ingress takes the packets of one neighbour apart. It sorts those of a batch by
// next hop or endpoint, so that a port or flow gets them together; those of one
// flow stay in order. Calls for one port come one at a time, hence no lock.
type ingress struct {
	n *Neighbour
	d *DT

	out     [bins]transit
	outs    int // in use
	lastOut *transit

	local     [bins]arrival
	locals    int  // in use
	component bool // local is for components, else for flows

	behind uint8 // mark for what waits behind the batch

	// The last look-up.
	known    bool
	dst, eid uint64
	hop      *Neighbour
	hopOK    bool

	refuse  [packet.BatchSize]*packet.Buffer // dropped; refuse[:refused]
	refused int

	received, localRecvd, ttl, noHop tally
	malformed, unknown               uint64
}

// transit is packets for one next hop.
type transit struct {
	hop    *Neighbour
	queued int // in front of its port when the first packet came
	mtu    int
	pkts   [packet.BatchSize]*packet.Buffer
	n      int
	sent   tally
}

func (t *transit) flush() {
	t.hop.transmit(t.pkts[:t.n], &t.sent)
	clear(t.pkts[:t.n])
	t.n = 0
}

// arrival is packets for one endpoint with one mark.
type arrival struct {
	eid  uint64
	ecn  uint8
	pkts [packet.BatchSize]*packet.Buffer
	n    int
}

func (in *ingress) init(n *Neighbour) { in.n, in.d = n, n.dt }

// batch takes packets to where they belong.
func (in *ingress) batch(pkts []*packet.Buffer) {
	in.behind = in.d.mark.Mark(0, in.n.backlog())
	for _, b := range pkts {
		in.take(b)
	}
	in.flushOut()
	in.flushLocal()
	in.flushRefused()
	in.known, in.hop = false, nil
	c := &in.n.stats
	c.received.add(&in.received)
	c.localRecvd.add(&in.localRecvd)
	c.ttl.add(&in.ttl)
	c.noHop.add(&in.noHop)
	if in.malformed != 0 || in.unknown != 0 {
		c.malformed.Add(in.malformed)
		c.unknown.Add(in.unknown)
		in.malformed, in.unknown = 0, 0
	}
}

func (in *ingress) take(b *packet.Buffer) {
	d := in.d
	p := b.Bytes()
	if len(p) < d.head {
		if len(p) > 0 { // else it is a keepalive of the port's flow
			in.malformed++
		}
		in.drop(b)
		return
	}
	cube := cube(p[d.format.cubeAt()])
	in.received.one(cube, len(p))
	if dst := d.format.dst(p); dst == d.self {
		in.deliver(b, p, cube)
	} else {
		in.forward(b, p, dst, cube)
	}
}

// forward sends a packet of somebody else, p, to its next hop.
func (in *ingress) forward(b *packet.Buffer, p []byte, dst uint64, cube uint8) {
	d := in.d
	ttl := &p[d.format.ttlAt()]
	if *ttl <= 1 { // 0: the prototype would go on with 255
		in.ttl.one(cube, len(p))
		in.drop(b)
		return
	}
	*ttl--
	if eid := d.format.eid(p); !in.known || dst != in.dst || eid != in.eid {
		in.hop, in.hopOK = d.table.Lookup(dst, eid)
		in.known, in.dst, in.eid = true, dst, eid
	}
	if !in.hopOK {
		in.noHop.one(cube, len(p))
		in.drop(b)
		return
	}
	t := in.lastOut
	if t == nil || t.hop != in.hop {
		t = in.transitTo(in.hop)
	}
	if len(p) > t.mtu {
		t.hop.oversize(cube, len(p), t.mtu)
		in.drop(b)
		return
	}
	ecn := &p[d.format.ecnAt()]
	*ecn = d.mark.Mark(*ecn|in.behind, t.queued)
	b.SetCube(cube)
	t.sent.one(cube, len(p))
	t.pkts[t.n] = b
	if t.n++; t.n == len(t.pkts) {
		t.flush()
	}
}

// transitTo returns the bin of a next hop.
func (in *ingress) transitTo(hop *Neighbour) *transit {
	for i := range in.out[:in.outs] {
		if in.out[i].hop == hop {
			in.lastOut = &in.out[i]
			return in.lastOut
		}
	}
	if in.outs == bins {
		in.flushOut()
	}
	t := &in.out[in.outs]
	in.outs++
	t.hop, t.queued, t.mtu = hop, hop.queued(), hop.port.MTU()
	in.lastOut = t
	return t
}

func (in *ingress) flushOut() {
	for i := range in.out[:in.outs] {
		in.out[i].flush()
		in.out[i].hop = nil
	}
	in.outs, in.lastOut = 0, nil
}

// deliver hands a packet for this member, p, to its component or flow.
func (in *ingress) deliver(b *packet.Buffer, p []byte, cube uint8) {
	d := in.d
	eid, ecn := d.format.eid(p), p[d.format.ecnAt()]|in.behind
	component := eid < Components
	switch {
	case component && d.components[eid] != nil:
		in.localRecvd.one(cube, len(p))
		d.components[eid].delivered.one(cube, len(p))
		ecn = 0 // means nothing to them
	case component, d.flows.Load() == nil:
		in.unknown++
		in.drop(b)
		return
	}
	b.TrimFront(d.head)
	b.SetCube(0) // the packet is out of the layer
	if component != in.component {
		// What came before a message about a flow goes up before it.
		in.flushLocal()
		in.component = component
	}
	a := in.arrivalFor(eid, ecn)
	a.pkts[a.n] = b
	if a.n++; a.n == len(a.pkts) {
		in.flushArrival(a)
	}
}

// arrivalFor returns the bin of an endpoint, which then holds packets with the
// mark only.
func (in *ingress) arrivalFor(eid uint64, ecn uint8) *arrival {
	for i := range in.local[:in.locals] {
		a := &in.local[i]
		if a.eid != eid {
			continue
		}
		if a.ecn != ecn {
			in.flushArrival(a)
			a.ecn = ecn
		}
		return a
	}
	if in.locals == bins {
		in.flushLocal()
	}
	a := &in.local[in.locals]
	in.locals++
	a.eid, a.ecn = eid, ecn
	return a
}

func (in *ingress) flushArrival(a *arrival) {
	if a.n == 0 {
		return
	}
	if pkts := a.pkts[:a.n]; in.component {
		in.d.components[a.eid].receive(pkts)
	} else {
		(*in.d.flows.Load()).Deliver(a.eid, a.ecn, pkts)
	}
	clear(a.pkts[:a.n])
	a.n = 0
}

func (in *ingress) flushLocal() {
	for i := range in.local[:in.locals] {
		in.flushArrival(&in.local[i])
	}
	in.locals = 0
}

// drop releases a packet, later.
func (in *ingress) drop(b *packet.Buffer) {
	in.refuse[in.refused] = b
	if in.refused++; in.refused == len(in.refuse) {
		in.flushRefused()
	}
}

func (in *ingress) flushRefused() {
	packet.ReleaseBatch(in.refuse[:in.refused])
	in.refused = 0
}
