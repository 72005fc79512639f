// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"sync/atomic"

	"o7gw/o7s/qos"
)

// Count is a number of packets and of their bytes, with headers.
type Count struct{ Packets, Bytes uint64 }

// Stats counts what happened on a neighbour's port, per QoS cube of the packets'
// headers (spec 20 §11).
type Stats struct {
	Sent       [qos.Cubes]Count // given to the port
	Received   [qos.Cubes]Count
	LocalSent  [qos.Cubes]Count // own ones for components of other members
	LocalRecvd [qos.Cubes]Count // delivered to components of this member

	// Drops. The first and third are counted at the neighbour that sent the
	// packet, the second at the next hop.
	TTL         [qos.Cubes]Count // transit without hops left
	FailedSends [qos.Cubes]Count // next hop removed, or packet too long for it
	NoNextHop   [qos.Cubes]Count // transit for an unknown destination

	Malformed  uint64 // packets received without a whole header
	UnknownEID uint64 // packets received for no component, or for flows before there are any
	TooLong    uint64 // packets above the MTU; FailedSends has them, too
}

// cubes counts per cube.
type cubes [qos.Cubes]struct{ packets, bytes atomic.Uint64 }

// one counts a packet of n bytes.
func (c *cubes) one(cube uint8, n int) {
	c[cube].packets.Add(1)
	c[cube].bytes.Add(uint64(n))
}

// add moves what was tallied to the counters.
func (c *cubes) add(t *tally) {
	for i := range t {
		if t[i].Packets == 0 {
			continue
		}
		c[i].packets.Add(t[i].Packets)
		c[i].bytes.Add(t[i].Bytes)
		t[i] = Count{}
	}
}

func (c *cubes) load() (n [qos.Cubes]Count) {
	for i := range c {
		n[i] = Count{c[i].packets.Load(), c[i].bytes.Load()}
	}
	return n
}

// tally counts the packets of a batch in one goroutine.
type tally [qos.Cubes]Count

func (t *tally) one(cube uint8, n int) {
	t[cube].Packets++
	t[cube].Bytes += uint64(n)
}

// counters is Stats as it is counted.
type counters struct {
	sent, received, localSent, localRecvd, ttl, failed, noHop cubes

	malformed, unknown, tooLong atomic.Uint64
}

// Stats returns the counters of the neighbour. It is safe to call at any time.
func (n *Neighbour) Stats() Stats {
	c := &n.stats
	return Stats{
		Sent:        c.sent.load(),
		Received:    c.received.load(),
		LocalSent:   c.localSent.load(),
		LocalRecvd:  c.localRecvd.load(),
		TTL:         c.ttl.load(),
		FailedSends: c.failed.load(),
		NoNextHop:   c.noHop.load(),
		Malformed:   c.malformed.Load(),
		UnknownEID:  c.unknown.Load(),
		TooLong:     c.tooLong.Load(),
	}
}

// NoRoute returns how many packets Send has dropped for want of a next hop.
func (d *DT) NoRoute() uint64 { return d.noRoute.Load() }
