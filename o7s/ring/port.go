// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"sync/atomic"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// Port makes an End a layer.Port. Received packets are handed over on the
// goroutine of a Poller.
type Port struct {
	e       *End
	p       *Poller
	r       layer.Receiver
	pacer   layer.Pacer // nil: none
	revive  func()      // for pacer, made once
	hasRoom func()      // nil: nobody asks for room
	asked   atomic.Bool // somebody waits for hasRoom
	dropped atomic.Uint64
	closed  atomic.Bool

	// Used by the goroutine of the Poller alone:
	down bool
	over bool // Closed was reported
}

var _ layer.Port = (*Port)(nil)

// NewPort returns the Port of e, served by p.
func NewPort(e *End, p *Poller) *Port { return &Port{e: e, p: p} }

// Send copies the packets into the ring. What does not fit is dropped.
func (q *Port) Send(pkts []*packet.Buffer) {
	q.Copy(pkts)
	packet.ReleaseBatch(pkts)
}

// Dropped returns how many packets did not fit into the ring.
func (q *Port) Dropped() uint64 { return q.dropped.Load() }

// Pace makes the service leave packets in the ring, where they make their writer
// wait, while the pacer is paused. Call it before Receive.
func (q *Port) Pace(p layer.Pacer) {
	q.pacer = p
	q.revive = func() { q.p.revive(q.e) }
}

// Receive starts the service. Packets that came before wait in the ring.
func (q *Port) Receive(r layer.Receiver) {
	if q.r != nil {
		panic("ring: receiver set twice")
	}
	q.r = r
	if err := q.p.addPausing(q.e, q.serve); err != nil && !q.closed.Load() {
		r.Event(layer.Closed)
	}
}

// MTU returns MaxPacket.
func (q *Port) MTU() int { return MaxPacket }

// Close ends the service and closes the End.
func (q *Port) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	return q.e.Close() // which takes it out of the Poller
}

// serve hands over one batch, or what has changed. It reports false while the
// pacer is paused.
func (q *Port) serve() bool {
	if q.hasRoom != nil && q.asked.Load() {
		q.hasRoom()
	}
	if q.pacer != nil && q.e.Readable() && q.pacer.Paused(q.revive) {
		return false
	}
	bufs := q.p.batch[:]
	n, err := q.e.ReadBatch(bufs, NoWait)
	if n > 0 {
		if q.closed.Load() {
			packet.ReleaseBatch(bufs[:n])
			return true
		}
		q.r.Packets(bufs[:n])
	}
	if q.closed.Load() {
		return true
	}
	if down := q.e.PeerDown(); down != q.down {
		q.down = down
		if down {
			q.r.Event(layer.Down)
		} else {
			q.r.Event(layer.Up)
		}
	}
	if err != nil && err != ErrWouldBlock && err != ErrDown && !q.over && !q.closed.Load() {
		q.over = true
		q.r.Event(layer.Closed)
		q.p.Remove(q.e) // unless it was closed
	}
	return true
}
