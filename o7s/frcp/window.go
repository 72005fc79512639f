// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"time"

	"o7gw/o7s/packet"
)

// takeWindow moves the edge of the peer's window (W9): the low 24 bits stand
// for the nearest number; the edge never goes back, and never far beyond what was sent.
func (s *sender) takeWindow(low24 uint32) {
	d := int32((low24-s.edge)<<8) >> 8
	if d <= 0 {
		return
	}
	edge := s.edge + uint32(d)
	if int32(edge-s.next) > int32(s.limit) {
		return
	}
	s.edge = edge
}

// block notes that the window is closed. On a flow without acknowledgements nothing
// else brings a window, so the peer is asked at once, and then whenever the window closes.
func (e *Endpoint) block(now time.Duration) {
	s := &e.snd
	if s.blocked {
		return
	}
	s.blocked = true
	if e.cfg.Reliable {
		s.askAt = now + rendezvousEvery
	} else {
		s.askAt = max(now, s.askedAt+rendezvousPause)
	}
}

// rendezvousPause is the least time between two requests for a window.
const rendezvousPause = 5 * time.Millisecond

// askDue reports whether a rendezvous is due (W10).
func (e *Endpoint) askDue(now time.Duration) bool {
	s := &e.snd
	return e.err == nil && s.blocked && s.askAt <= now
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
	s.askedAt, s.askAt = now, now+rendezvousEvery
	h := Header{Flags: RDVS}
	e.runFlag(&h)
	e.stats.Rendezvous++
	return e.headerOnly(&h)
}

// runFlag puts the number to come on a control packet while nothing is
// outstanding, so that a receiver that hears it first opens the right run (W4).
func (e *Endpoint) runFlag(h *Header) {
	if s := &e.snd; !s.outstanding() {
		h.Flags |= DRF
		h.Seq = s.next
	}
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
