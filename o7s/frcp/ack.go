// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "time"

// takeAck handles the cumulative acknowledgement of a packet.
func (e *Endpoint) takeAck(now time.Duration, ack uint32, delay time.Duration) {
	s := &e.snd
	if !before(s.una, ack) || before(s.next, ack) { // nothing new, or never sent (W9)
		return
	}
	again := false
	s.rack.reordering(s, s.una)
	for ; s.una != ack; s.una++ {
		r := s.at(s.una)
		again = again || r.again
		e.acked(now, s.una, r, delay)
		e.drop(r.buf)
		r.buf = nil
	}
	if again && !e.cfg.Extended {
		s.rate.rtt = 0 // the others had only waited for the one that was sent again
	}
	s.unaAt = now
	s.held.trim(s.una)
	s.advance(now, false)
	e.partial(now)
}

// advance notes that the peer acknowledged something. That a probe
// arrived does not allow more of them: it should have shown what was lost.
func (s *sender) advance(now time.Duration, byProbe bool) {
	s.progress = now
	s.rtt.backoff = 0
	if !byProbe {
		s.probes = 0
	}
}

// acked does the books of one packet that the peer has.
func (e *Endpoint) acked(now time.Duration, seq uint32, r *record, delay time.Duration) {
	s := &e.snd
	switch r.place {
	case flying:
		s.remove(&s.flying, seq, r)
	case lost:
		s.remove(&s.lost, seq, r)
	default: // held: done before
		return
	}
	// Of a packet sent more than once nobody knows which copy arrived, unless the
	// acknowledgement came too soon to be of the last; the smallest time seen may
	// have had a queue in it.
	if m := now - r.at; !r.again || s.rtt.known && m >= s.rtt.lowest/4*3 {
		if !r.again {
			s.rate.rtt = max(m-delay, 1)
		}
		s.rack.delivered(seq, r, m)
	}
	s.rate.acknowledged(now, r)
	r.place = held
}

// takeReport handles the blocks of a pure acknowledgement from one of ours.
func (e *Endpoint) takeReport(now time.Duration, p *report) {
	s := &e.snd
	if s.rack.dups != p.dups {
		// The peer got something twice: what was sent again had not been lost.
		s.rack.spurious()
		s.rack.dups = p.dups
	}
	for _, b := range p.blocks {
		if before(b.first, s.una) {
			b.first = s.una
		}
		if before(s.next, b.end) || !before(b.first, b.end) {
			continue // never sent, or known by now
		}
		s.held.add(b.first, b.end, func(first, end uint32) {
			s.rack.reordering(s, first)
			again := true
			for seq := first; seq != end; seq++ {
				again = again && s.at(seq).again
				e.acked(now, seq, s.at(seq), p.delay)
			}
			s.advance(now, again)
		})
	}
}

// settle ends a batch of received packets: what the acknowledgements say about
// losses and about the path.
func (e *Endpoint) settle(now time.Duration) {
	s := &e.snd
	if !e.cfg.Reliable {
		return
	}
	if s.rate.any && s.rate.rtt > 0 {
		s.rtt.sample(now, s.rate.rtt)
	}
	if s.rate.any {
		e.checkLosses(now)
	}
	if sample, ok := s.rate.sample(now, s); ok {
		e.cfg.Congestion.Acked(now, sample)
	}
}
