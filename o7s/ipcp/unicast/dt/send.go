// SPDX-License-Identifier: BSD-3-Clause

package dt

import "o7gw/o7s/packet"

// Send sends own packets to an endpoint of another member, each in the cube of
// its mark. It takes ownership of the buffers, not of the slice, and does not
// block: what a port cannot carry is dropped and counted. Without a next hop all
// are dropped and the error is ErrNoRoute. It may be called from several
// goroutines.
func (d *DT) Send(dst, eid uint64, pkts []*packet.Buffer) error {
	var c *component
	if eid < Components {
		c = d.components[eid]
	}
	hop, ok := d.next(dst, eid)
	if c != nil {
		c.count(pkts, ok)
	}
	if !ok {
		d.noRoute.Add(uint64(len(pkts)))
		packet.ReleaseBatch(pkts)
		return ErrNoRoute
	}
	h := Header{Dst: dst, TTL: d.ttl, ECN: d.mark.Mark(0, hop.queued()), EID: eid}
	mtu := hop.port.MTU()
	var sent tally
	keep := pkts[:0]
	for _, b := range pkts {
		h.Cube = cube(b.Cube())
		size := b.Len() + d.head
		if size > mtu {
			hop.oversize(h.Cube, size, mtu)
			b.Release()
			continue
		}
		d.format.Put(b.Prepend(d.head), h)
		sent.one(h.Cube, size)
		keep = append(keep, b)
	}
	if eid < Components {
		local := sent
		hop.stats.localSent.add(&local)
	}
	hop.transmit(keep, &sent)
	return nil
}

// count counts attempts to send to the component's EID.
func (c *component) count(pkts []*packet.Buffer, routed bool) {
	for _, b := range pkts {
		cube := cube(b.Cube())
		c.asked.one(cube, b.Len())
		if !routed {
			c.noRoute.one(cube, b.Len())
		}
	}
}
