// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"sync"
	"time"

	"o7gw/o7s/qos"
)

// Nobody acknowledges a teardown notice, and congestion may drop it, in which case
// the peer would wait for its timeout. So it is sent some times.

// repeatAfter are the times from one sending to the next, in ns: 50 ms,
// 300 ms and 2 s after the end of the flow.
var repeatAfter = [...]int64{
	int64(50 * time.Millisecond),
	int64(250 * time.Millisecond),
	int64(1700 * time.Millisecond),
}

// maxNotices bounds the memory for notices that wait for each of these times.
// More are not repeated.
const maxNotices = 4096

// notice is one that will be sent again.
type notice struct {
	at   int64
	addr uint64
	cube qos.Cube
	msg  teardown
}

// notices are those that will be sent again, by how often they were.
type notices struct {
	mu     sync.Mutex
	queues [len(repeatAfter)][]notice // in order of time; guarded by mu
}

// notify sends a notice, in the cube of the flow's data so that it stays behind
// them, and sees to it that it is sent again.
func (a *FA) notify(addr uint64, cube qos.Cube, msg teardown) {
	a.transmit(notice{addr: addr, cube: cube, msg: msg}, 0)
}

// transmit sends a notice that was sent so many times.
func (a *FA) transmit(n notice, times int) {
	if a.send(n.addr, n.cube, n.msg) != nil {
		a.stats.sendFailed.Add(1)
	}
	if times == len(repeatAfter) {
		return
	}
	n.at = a.now() + repeatAfter[times]
	a.notices.mu.Lock()
	q := &a.notices.queues[times]
	if len(*q) < maxNotices {
		*q = append(*q, n)
	}
	a.notices.mu.Unlock()
	a.reminder.set(n.at)
}

// remind sends what is due.
func (a *FA) remind() {
	now, next := a.now(), int64(0)
	for i := range a.notices.queues {
		a.notices.mu.Lock()
		q := &a.notices.queues[i]
		due := 0
		for due < len(*q) && (*q)[due].at <= now {
			due++
		}
		ready := (*q)[:due:due]
		if *q = (*q)[due:]; len(*q) == 0 {
			*q = nil // with the memory of those that are gone
		} else if next == 0 || (*q)[0].at < next {
			next = (*q)[0].at
		}
		a.notices.mu.Unlock()
		for _, n := range ready {
			a.transmit(n, i+1)
		}
	}
	if next != 0 {
		a.reminder.set(next)
	}
}
