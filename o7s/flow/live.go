// SPDX-License-Identifier: BSD-3-Clause

package flow

import "time"

// liveness is the keepalive clock of a flow (spec 30 §2.11). It reads no
// clock per packet: check compares counters, several times per timeout.
//
//	nothing sent for timeout/4    ─▶ keepalive
//	nothing arrived for timeout   ─▶ dead, once; keepalives go on
type liveness struct {
	timeout time.Duration // 0: no liveness
	dead    bool

	sent, received         uint64 // counters at the last check
	lastSent, lastReceived time.Time
	checked                time.Time

	index int // in Host.due; -1: in none
	next  time.Time
}

// checks is how many checks fall into one timeout.
const checks = 16

// start begins the clock.
func (l *liveness) start(now time.Time, timeout time.Duration) {
	*l = liveness{timeout: timeout, lastSent: now, lastReceived: now, checked: now, index: -1}
	l.next = now.Add(l.interval())
}

func (l *liveness) interval() time.Duration { return max(l.timeout/checks, time.Millisecond) }

// check looks at the counters of what was sent and has arrived. It reports
// whether a keepalive is due, and whether the peer died just now.
func (l *liveness) check(now time.Time, sent, received uint64) (keepalive, died bool) {
	if sent != l.sent {
		// At some time since the last check: assume the earliest.
		l.sent, l.lastSent = sent, l.checked
	}
	if received != l.received {
		l.received, l.lastReceived = received, now // assume the latest
	}
	l.checked = now
	l.next = now.Add(l.interval())
	if now.Sub(l.lastReceived) > l.timeout && !l.dead {
		l.dead, died = true, true
	}
	// The next check would be too late for a keepalive that falls due before.
	if keepalive = l.next.Sub(l.lastSent) > l.timeout/4; keepalive {
		l.lastSent = now
	}
	return keepalive, died
}
