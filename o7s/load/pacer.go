// SPDX-License-Identifier: BSD-3-Clause

package load

import "time"

// maxLag is what a sender makes up for when it was held up: more than the slack
// of a timer, and the pause of a process that has used up its share of a busy
// machine. What is missing beyond that is left out, so that there is no burst of
// more.
const maxLag = 100 * time.Millisecond

// pacer says how many packets are due. Times count from the start of the run.
type pacer struct {
	gap float64 // between packets, ns; 0: any number is due at any time
	at  float64 // when the next one is due, ns
}

// newPacer returns the pacer for packets of size bytes at a rate in bit/s, 0
// for none.
func newPacer(size int, rate float64) pacer {
	if rate <= 0 {
		return pacer{}
	}
	return pacer{gap: float64(size) * 8 / rate * 1e9}
}

// take returns how many packets, limit at most, are to be sent now.
func (p *pacer) take(now time.Duration, limit int) int {
	if p.gap == 0 {
		return limit
	}
	p.at = max(p.at, float64(now-maxLag))
	late := float64(now) - p.at
	if late < 0 {
		return 0
	}
	n := int(min(late/p.gap+1, float64(limit)))
	p.at += float64(n) * p.gap
	return n
}

// next returns when the next packet is due.
func (p *pacer) next() time.Duration { return time.Duration(min(p.at, 1<<62)) }
