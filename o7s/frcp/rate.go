// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "time"

// rate measures the delivery rate as draft-cheng-iccrg-delivery-rate-estimation
// does: what was delivered between the departure of a packet and its
// acknowledgement, over the longer of the time in which that was sent and the time in
// which it was acknowledged.
type rate struct {
	delivered   uint64        // bytes acknowledged so far
	deliveredAt time.Duration // last acknowledgement
	startedAt   time.Duration // departure of the packet that began this measurement
	limited     uint64        // not 0: what was delivered before this is no measure of the path

	// The newest packet acknowledged in this batch.
	any   bool
	acked int
	prior record
	rtt   time.Duration
}

// sent notes the state in which a packet leaves.
func (a *rate) sent(now time.Duration, s *sender, r *record) {
	if s.flying.count == 0 {
		a.deliveredAt, a.startedAt = now, now
	}
	r.delivered, r.deliveredAt, r.startedAt = a.delivered, a.deliveredAt, a.startedAt
	r.limited = a.limited != 0 || s.rtt.backoff > 0
}

// idle notes that the user, not the path, limits the rate.
func (a *rate) idle(s *sender) { a.limited = max(a.delivered+uint64(s.flying.bytes), 1) }

// acknowledged notes that a packet arrived.
func (a *rate) acknowledged(now time.Duration, r *record) {
	a.delivered += uint64(r.size)
	a.deliveredAt = now
	a.acked += int(r.size)
	if !a.any || r.delivered > a.prior.delivered || r.delivered == a.prior.delivered && r.at > a.prior.at {
		a.any = true
		a.prior = *r
		a.prior.buf = nil
		a.startedAt = r.at
	}
	if a.limited != 0 && a.delivered > a.limited {
		a.limited = 0
	}
}

// sample ends a batch of acknowledgements.
func (a *rate) sample(now time.Duration, s *sender) (Sample, bool) {
	if !a.any {
		return Sample{}, false
	}
	p := &a.prior
	out := Sample{
		Acked: a.acked, Flying: s.flying.bytes, RTT: a.rtt, Limited: p.limited,
		Prior: p.delivered, Delivered: a.delivered,
	}
	if s.rtt.known {
		out.MinRTT = s.rtt.min
	}
	interval := max(p.at-p.startedAt, now-p.deliveredAt)
	if interval > 0 && interval >= out.MinRTT {
		out.Rate = float64(a.delivered-p.delivered) / interval.Seconds()
	}
	a.any, a.acked, a.rtt = false, 0, 0
	return out, true
}
