// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"container/heap"
	"net"
	"time"
)

// liveness is the keepalive clock of a flow (spec 30 §2.11). It reads no
// clock per packet: check compares counters, several times per timeout.
//
//	nothing sent for interval     ─▶ keepalive
//	nothing arrived for timeout   ─▶ dead, once; keepalives go on
type liveness struct {
	interval time.Duration // 0: no keepalives
	timeout  time.Duration // 0: the peer never dies
	dead     bool

	sent, received         uint64 // counters at the last check
	lastSent, lastReceived time.Time
	checked                time.Time

	queued bool // in Host.due, at index
	index  int
	next   time.Time
}

// checks is how many checks fall into one timeout, and a quarter of them into
// one interval.
const checks = 16

// start begins the clock.
func (l *liveness) start(now time.Time, interval, timeout time.Duration, sent, received uint64) {
	l.interval, l.timeout = interval, timeout
	l.sent, l.received = sent, received
	l.lastSent, l.lastReceived, l.checked = now, now, now
	l.next = now.Add(l.tick())
}

// tick is the time between two checks.
func (l *liveness) tick() time.Duration {
	t := l.timeout / checks
	if k := l.interval / (checks / 4); t == 0 || k != 0 && k < t {
		t = k
	}
	return max(t, time.Millisecond)
}

// check looks at the counters of what was sent and has arrived. It reports
// whether a keepalive is due, and whether the peer died just now.
func (l *liveness) check(now time.Time, sent, received uint64) (keepalive, died bool) {
	if late := now.Sub(l.next); late > l.tick() {
		// This program did not run: what has arrived meanwhile may lie in a
		// socket, so that time counts against nobody.
		l.lastReceived = l.lastReceived.Add(late)
	}
	if sent != l.sent {
		// At some time since the last check: assume the earliest.
		l.sent, l.lastSent = sent, l.checked
	}
	if received != l.received {
		l.received, l.lastReceived = received, now // assume the latest
	}
	l.checked = now
	l.next = now.Add(l.tick())
	if l.timeout > 0 && now.Sub(l.lastReceived) > l.timeout && !l.dead {
		l.dead, died = true, true
	}
	// The next check would be too late for a keepalive that falls due before.
	if keepalive = l.interval > 0 && l.next.Sub(l.lastSent) > l.interval; keepalive {
		l.lastSent = now
	}
	return keepalive, died
}

// keepaliveOf is the interval that goes with a peer timeout (spec 30 §2.11).
func keepaliveOf(timeout time.Duration) time.Duration { return timeout / 4 }

// SetLiveness replaces the keepalives and the peer timeout that the QoS asks
// for, from now on: a keepalive is sent after interval without sending, the
// first at once, and the peer is dead when nothing has arrived for timeout, or an eighth
// of it later. 0 means no keepalives, and no timeout.
func (f *Flow) SetLiveness(interval, timeout time.Duration) {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	if f.host.closed || f.closed.Load() {
		return
	}
	l := &f.live
	if l.queued {
		heap.Remove(&f.host.due, l.index)
	}
	now := time.Now()
	l.start(now, max(interval, 0), max(timeout, 0), f.low.sent(), f.low.received())
	l.lastSent = time.Time{} // the peer may have a short timeout already
	l.next = now
	f.host.watchLocked(f)
}

// add begins the keepalives of a flow that has a timeout.
func (h *Host) add(f *Flow) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return net.ErrClosed
	}
	timeout := f.att.QoS.PeerTimeout()
	f.live.start(time.Now(), keepaliveOf(timeout), timeout, 0, 0)
	h.watchLocked(f)
	return nil
}

// watchLocked has the flow checked from now on, if there is anything to check.
func (h *Host) watchLocked(f *Flow) {
	if f.live.interval == 0 && f.live.timeout == 0 {
		return
	}
	heap.Push(&h.due, f)
	if h.wake == nil {
		h.wake = make(chan struct{}, 1)
		h.done.Add(1)
		go func() {
			defer h.done.Done()
			h.watch()
		}()
	} else if h.due[0] == f {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

func (h *Host) remove(f *Flow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.live.queued {
		heap.Remove(&h.due, f.live.index)
	}
}
