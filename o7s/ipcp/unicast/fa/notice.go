// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"sync"
	"time"

	"o7gw/o7s/packet"
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

// ahead is how much earlier than at its time a notice is sent again, in ns, if
// others are due: so those of many flows share a wake-up and a system call.
const ahead = int64(5 * time.Millisecond)

// notify sends a notice, in the cube of the flow's data so that it stays behind
// them, and sees to it that it is sent again.
func (a *FA) notify(addr uint64, cube qos.Cube, msg teardown) {
	a.transmit([]notice{{addr: addr, cube: cube, msg: msg}}, 0)
}

// transmit sends notices that were sent so many times.
func (a *FA) transmit(ns []notice, times int) {
	for rest := ns; len(rest) > 0; {
		rest = rest[a.sendSome(rest):]
	}
	if times == len(repeatAfter) {
		return
	}
	at := a.now() + repeatAfter[times]
	a.notices.mu.Lock()
	q := &a.notices.queues[times]
	for _, n := range ns[:min(len(ns), max(maxNotices-len(*q), 0))] {
		n.at = at
		*q = append(*q, n)
	}
	a.notices.mu.Unlock()
	a.reminder.set(at)
}

// sendSome sends the first of the notices, those to one member, in one batch. It
// returns how many.
func (a *FA) sendSome(ns []notice) int {
	addr := ns[0].addr
	pkts := make([]*packet.Buffer, 0, min(len(ns), packet.BatchSize))
	for _, n := range ns {
		if n.addr != addr || len(pkts) == packet.BatchSize {
			break
		}
		pkts = append(pkts, pack(n.cube, n.msg))
	}
	n := len(pkts)
	if a.cfg.Net.Send(addr, manageEID, pkts) != nil {
		a.stats.sendFailed.Add(uint64(n))
	}
	return n
}

// remind sends what is due.
func (a *FA) remind() {
	now, next := a.now(), int64(0)
	for i := range a.notices.queues {
		ready, at := a.due(i, now+ahead)
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
		if len(ready) > 0 {
			a.transmit(ready, i+1)
		}
	}
	if next != 0 {
		a.reminder.set(next)
	}
}

// due takes what is to be sent until a time from a queue. It returns when the
// next is, 0 for none.
func (a *FA) due(queue int, until int64) (ready []notice, next int64) {
	a.notices.mu.Lock()
	defer a.notices.mu.Unlock()
	q := &a.notices.queues[queue]
	n := 0
	for n < len(*q) && (*q)[n].at <= until {
		n++
	}
	ready = (*q)[:n:n]
	if *q = (*q)[n:]; len(*q) == 0 {
		*q = nil // with the memory of those that are gone
		return ready, 0
	}
	return ready, (*q)[0].at
}
