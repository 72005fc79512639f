// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"math/rand/v2"
	"time"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// channel is one direction between two stations. Its state is guarded by the
// network's mu.
type channel struct {
	from, to *station
	rng      *rand.Rand
	free     time.Duration // when the sender will have sent what he began to send
	last     time.Duration // latest arrival that keeps the order
	seq      uint64
	queues   [qos.Cubes]queue // of what waits for the rate; an event serves them at free
}

// message is a packet for a port or, without one, a call.
type message struct {
	size int // bytes
	draw chance
	pkt  *packet.Buffer
	to   *port
	fn   func()
}

// queue holds the messages of one cube that wait, in order.
type queue struct {
	waiting []message
	bytes   int
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

// sendLocked sends a message in a cube. The caller calls armLocked.
func (c *channel) sendLocked(cube qos.Cube, m message) {
	l := c.from.link
	m.draw = chance{c.rng.Float64(), c.rng.Float64(), c.rng.Float64(), c.rng.Float64()}
	l.counters.sent.Add(1)
	now, wait := l.net.now(), c.waitingLocked(qos.BestEffort)
	switch {
	case !c.openLocked():
		l.counters.cut.Add(1)
		m.release()
	case l.params.Rate <= 0 && wait == 0:
		c.departLocked(m, now)
	case now >= c.free && wait == 0:
		c.beginLocked(m, now)
	case !c.roomLocked(cube, m.size, now):
		l.counters.overflow.Add(1)
		m.release()
	default:
		q := &c.queues[cube]
		q.waiting = append(q.waiting, m)
		q.bytes += m.size
		if wait == 0 {
			l.net.postServeLocked(c)
		}
	}
}

// release gives up a message.
func (m *message) release() {
	if m.pkt != nil {
		m.pkt.Release()
	}
}

// waitingLocked returns how many messages wait in a cube and above it.
func (c *channel) waitingLocked(cube qos.Cube) (n int) {
	for _, q := range c.queues[cube:] {
		n += len(q.waiting)
	}
	return n
}

// roomLocked reports whether size bytes more may wait in a cube, with what is
// not yet sent of the message before.
func (c *channel) roomLocked(cube qos.Cube, size int, now time.Duration) bool {
	p := &c.from.link.params
	rest := max(0, c.free-now).Seconds() * p.Rate / 8
	return p.Queue <= 0 || rest+float64(c.queues[cube].bytes+size) <= float64(p.Queue)
}

// beginLocked sends a message at the rate, from at on.
func (c *channel) beginLocked(m message, at time.Duration) {
	c.free = at
	if rate := c.from.link.params.Rate; rate > 0 {
		c.free += time.Duration(float64(m.size) * 8 / rate * float64(time.Second))
	}
	c.departLocked(m, c.free)
}

// serveLocked begins with the next message that waits: the first of the highest
// cube. It runs when the one before was sent.
func (c *channel) serveLocked() {
	for i := qos.Cubes - 1; i >= 0; i-- {
		q := &c.queues[i]
		if len(q.waiting) == 0 {
			continue
		}
		m := q.waiting[0]
		q.waiting[0] = message{}
		q.waiting = q.waiting[1:]
		q.bytes -= m.size
		c.beginLocked(m, c.free)
		break
	}
	if c.waitingLocked(qos.BestEffort) > 0 {
		c.from.link.net.postServeLocked(c)
	}
}

// abandonLocked gives up what waits.
func (c *channel) abandonLocked() {
	for i := range c.queues {
		for _, m := range c.queues[i].waiting {
			m.release()
		}
		c.queues[i] = queue{}
	}
}

// departLocked decides what becomes of a message that was sent at that time.
func (c *channel) departLocked(m message, at time.Duration) {
	l := c.from.link
	p, cnt := &l.params, &l.counters
	if m.draw.loss < p.Loss {
		cnt.lost.Add(1)
		m.release()
		return
	}
	at += p.Delay + time.Duration(m.draw.jitter*float64(p.Jitter))
	if m.pkt != nil && m.draw.reorder < p.Reorder {
		cnt.late.Add(1)
		at += p.Late
	} else {
		c.last = max(c.last, at)
		at = c.last
	}
	if m.pkt != nil && m.draw.duplicate < p.Duplicate {
		cnt.duplicated.Add(1)
		c.postLocked(at, message{pkt: m.pkt.Clone(), to: m.to})
	}
	c.postLocked(at, m)
}

// postLocked schedules the arrival of a message.
func (c *channel) postLocked(at time.Duration, m message) {
	c.seq++
	c.from.link.net.postLocked(event{at: at, way: c, seq: c.seq, to: m.to, pkt: m.pkt, fn: m.fn})
}

// callSize is what a call counts for the rate, besides its piggyback; bytes.
const callSize = 64

// callLocked has fn called at the other station, if the message gets there. It
// stays in order with the packets of its cube. The caller calls armLocked.
func (c *channel) callLocked(cube qos.Cube, size int, fn func()) {
	c.sendLocked(cube, message{size: callSize + size, fn: fn})
}

// packetLocked sends a packet to a port at the other station. It takes
// ownership. The caller calls armLocked.
func (c *channel) packetLocked(cube qos.Cube, pkt *packet.Buffer, to *port) {
	c.sendLocked(cube, message{size: pkt.Len(), pkt: pkt, to: to})
}
