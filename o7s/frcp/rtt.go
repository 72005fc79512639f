// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "time"

// rtt estimates the round-trip time with the prototype's arithmetic (spec 30
// §3.9), which is that of Linux. Nothing depends on the peer doing the same.
type rtt struct {
	known      bool
	srtt, mdev time.Duration
	min        time.Duration // smallest sample of the last minRTTLife or so
	minAt      time.Duration
	lowest     time.Duration // smallest sample ever
	plain      bool          // toward a prototype
	backoff    uint          // doublings since the last progress
}

// minRTTLife is how long the smallest sample counts: routes change.
const minRTTLife = 10 * time.Second

// sample takes a measurement m.
func (r *rtt) sample(now, m time.Duration) {
	m = max(m, 1)
	if !r.known || m <= r.min || now-r.minAt > minRTTLife {
		r.min, r.minAt = m, now
	}
	if !r.known || m < r.lowest {
		r.lowest = m
	}
	if !r.known {
		r.known, r.srtt, r.mdev = true, m, m>>1
	} else {
		d := m - r.srtt
		r.srtt += d >> 3
		if d < 0 {
			d = -d
		}
		e := (d - r.mdev) >> 2
		if e < 0 {
			e >>= 3
		}
		r.mdev += e
	}
	r.srtt = max(r.srtt, time.Microsecond)
	r.mdev = max(r.mdev, 100)
}

// rto returns the retransmission timeout.
func (r *rtt) rto() time.Duration {
	base := startRTO
	if r.known {
		floor := minRTO
		if r.plain {
			floor = prototypeAckDelay // W13
		}
		base = r.srtt + min(max(r.mdev<<2, floor), maxRTO)
	}
	if r.backoff == 0 {
		return base
	}
	return max(base, min(base<<min(r.backoff, 20), maxRTO))
}

// probe returns how long after the last packet a tail-loss probe is due.
func (r *rtt) probe() time.Duration {
	if !r.known {
		return startRTO / 4
	}
	return 2*r.srtt + 2*ackDelay
}
