// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"math/rand/v2"
	"time"

	"o7gw/o7s/packet"
)

// channel is one direction between two stations. Its state is guarded by the
// network's mu.
type channel struct {
	from, to *station
	rng      *rand.Rand
	free     time.Duration // when the sender will have sent everything
	last     time.Duration // latest arrival that keeps the order
	seq      uint64
}

func newChannel(from, to *station) *channel {
	c := &channel{from: from, to: to}
	c.rng = rand.New(rand.NewPCG(from.link.net.seed, c.id()))
	return c
}

// id numbers the channels of a network, from 1. Nil has 0.
func (c *channel) id() uint64 {
	if c == nil {
		return 0
	}
	return uint64(c.from.link.num)<<40 | uint64(c.from.num)<<20 | uint64(c.to.num)
}

// openLocked reports whether something passes now.
func (c *channel) openLocked() bool {
	return c.from.upLocked() && c.to.upLocked() && !c.to.gone && c.from.group == c.to.group
}

// arrivesLocked reports, and counts, whether what was under way gets through.
func (c *channel) arrivesLocked() bool {
	cnt := &c.from.link.counters
	if !c.openLocked() {
		cnt.cut.Add(1)
		return false
	}
	cnt.arrived.Add(1)
	return true
}

// chance is what is drawn for each message, all of it always, so that one
// probability does not shift the sequence of another.
type chance struct{ loss, duplicate, reorder, jitter float64 }

// departLocked sends a message of size bytes; ok is false if it is lost. at is
// when it arrives if it is not late.
func (c *channel) departLocked(size int) (at time.Duration, draw chance, ok bool) {
	l := c.from.link
	p, cnt := &l.params, &l.counters
	draw = chance{c.rng.Float64(), c.rng.Float64(), c.rng.Float64(), c.rng.Float64()}
	cnt.sent.Add(1)
	if !c.openLocked() {
		cnt.cut.Add(1)
		return 0, draw, false
	}
	at = l.net.now()
	if p.Rate > 0 {
		if wait := c.free - at; p.Queue > 0 && wait > 0 && wait.Seconds()*p.Rate/8+float64(size) > float64(p.Queue) {
			cnt.overflow.Add(1)
			return 0, draw, false
		}
		c.free = max(c.free, at) + time.Duration(float64(size)*8/p.Rate*float64(time.Second))
		at = c.free
	}
	if draw.loss < p.Loss {
		cnt.lost.Add(1)
		return 0, draw, false
	}
	return at + p.Delay + time.Duration(draw.jitter*float64(p.Jitter)), draw, true
}

// messageSize is what a message counts for the rate, besides its piggyback.
const messageSize = 64

// callLocked has fn called at the other station, if the message gets there. It
// stays in order with the packets. The caller calls armLocked.
func (c *channel) callLocked(size int, fn func()) {
	at, _, ok := c.departLocked(messageSize + size)
	if !ok {
		return
	}
	c.last = max(c.last, at)
	c.seq++
	c.from.link.net.postLocked(event{at: c.last, way: c, seq: c.seq, fn: fn})
}

// packetLocked sends a packet to a port at the other station. It takes
// ownership. The caller calls armLocked.
func (c *channel) packetLocked(pkt *packet.Buffer, to *port) {
	at, draw, ok := c.departLocked(pkt.Len())
	if !ok {
		pkt.Release()
		return
	}
	l := c.from.link
	if draw.reorder < l.params.Reorder {
		l.counters.late.Add(1)
		at += l.params.Late
	} else {
		c.last = max(c.last, at)
		at = c.last
	}
	if draw.duplicate < l.params.Duplicate {
		l.counters.duplicated.Add(1)
		c.seq++
		l.net.postLocked(event{at: at, way: c, seq: c.seq, to: to, pkt: pkt.Clone()})
	}
	c.seq++
	l.net.postLocked(event{at: at, way: c, seq: c.seq, to: to, pkt: pkt})
}
