// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"time"

	"o7gw/o7s/packet"
)

// takeWindow moves the edge of the peer's window (W9): the low 24 bits stand
// for the nearest number; the edge never goes back, and never far beyond what was sent.
func (e *Endpoint) takeWindow(low24 uint32) {
	s := &e.snd
	d := int32((low24+s.shift-s.edge)<<8) >> 8
	edge := s.edge + uint32(d)
	if d > 0 && int32(edge-s.next) <= farthest {
		s.edge = edge
	}
	if s.blocked && s.asked && !e.cfg.Reliable && !e.cfg.Extended && !before(s.next, edge) {
		// The prototype counts what it delivered: each packet lost on the way narrows its
		// window for good, until it is closed for ever. It has answered, so
		// it gets a few packets more than it wants, now and in future.
		s.shift += s.next + startWindow - edge
		s.edge = s.next + startWindow
	}
	s.asked = false
}

// block notes that the window is closed. On a flow without acknowledgements nothing
// else brings a window, so the peer is asked at once, and then whenever the window closes;
// so is one of ours, which sees by that that the path needs a wider one.
func (e *Endpoint) block(now time.Duration) {
	s := &e.snd
	if s.blocked {
		return
	}
	s.blocked, s.blockedAt, s.ask = true, now, false
	if e.cfg.Reliable && !e.cfg.Extended {
		s.askAt = now + rendezvousEvery
	} else {
		s.askAt = max(now, s.askedAt+rendezvousPause)
	}
}

// hurry is for a congestion window that is full before the peer has a reason to acknowledge
// at once: a request for its window brings that acknowledgement. Else each window
// would take ackDelay, the model would take this for the rate of the path, and on a short
// path never grow again. Twice per window at most.
func (e *Endpoint) hurry() {
	s := &e.snd
	if e.cfg.Extended && s.flying.count < ackEvery && s.rtt.min < hurryBelow && 2*int(s.next-s.hurried) > s.flying.count {
		s.hurried, s.hurries = s.next, true
	}
}

// hurryBelow is the round-trip time from which ackDelay matters little.
const hurryBelow = 16 * ackDelay

// rendezvousPause is the least time between two requests for a window.
const rendezvousPause = 5 * time.Millisecond

// checkPeer gives up when nothing at all has come for R while the peer was asked for its window.
func (e *Endpoint) checkPeer(now time.Duration) {
	if s := &e.snd; s.blocked && now-max(s.heard, s.blockedAt) > retransmitLimit {
		e.fail(ErrTimeout)
	}
}

// askDue reports whether a rendezvous is due (W10).
func (e *Endpoint) askDue(now time.Duration) bool {
	s := &e.snd
	return e.err == nil && (s.hurries || s.blocked && (s.ask || s.askAt <= now))
}

func (e *Endpoint) rendezvousDeadline() time.Duration {
	if !e.snd.blocked {
		return never
	}
	return e.snd.askAt
}

// rendezvous makes a packet that asks the peer for a window.
func (e *Endpoint) rendezvous(now time.Duration) *packet.Buffer {
	s := &e.snd
	s.ask, s.hurries, s.asked = false, false, true
	s.askedAt, s.askAt = now, now+rendezvousEvery
	h := Header{Flags: RDVS}
	e.runFlag(&h)
	e.stats.Rendezvous++
	return e.headerOnly(&h)
}

// runFlag puts the first number that is not acknowledged on a control packet, so that a
// receiver that hears it before all data opens the right run (W4). While nothing is
// outstanding that is the number to come; else a packet with DRF may have been lost.
func (e *Endpoint) runFlag(h *Header) {
	h.Flags |= DRF
	h.Seq = e.snd.una
}

// headerOnly makes a packet of the header alone.
func (e *Endpoint) headerOnly(h *Header) *packet.Buffer {
	b := packet.Get(HeaderLen + blocksFixed + 8*maxBlocks)
	b.SetLen(HeaderLen)
	h.Put(b.Bytes())
	e.stats.SentControl++
	if e.cfg.Lend {
		e.lent = append(e.lent, b)
	}
	return b
}
