// SPDX-License-Identifier: BSD-3-Clause

package flow

import "o7gw/o7s/packet"

// What may be queued for a reader that does not read. What comes beyond is
// dropped and counted.
const (
	maxQueuedPackets = 4096
	maxQueuedBytes   = 8 << 20
)

// queue holds packets in order of arrival. It does no locking.
type queue struct {
	q     []*packet.Buffer // q[first:] are queued
	first int
	bytes int
}

func (q *queue) len() int { return len(q.q) - q.first }

// push queues the packet, or reports false if there is no room.
func (q *queue) push(b *packet.Buffer) bool {
	if q.len() >= maxQueuedPackets || q.bytes+b.Len() > maxQueuedBytes {
		return false
	}
	if len(q.q) == cap(q.q) && q.first > 0 {
		n := copy(q.q, q.q[q.first:])
		clear(q.q[n:])
		q.q, q.first = q.q[:n], 0
	}
	q.q = append(q.q, b)
	q.bytes += b.Len()
	return true
}

// take moves packets into bufs and returns how many.
func (q *queue) take(bufs []*packet.Buffer) int {
	n := copy(bufs, q.q[q.first:])
	clear(q.q[q.first : q.first+n])
	for _, b := range bufs[:n] {
		q.bytes -= b.Len()
	}
	if q.first += n; q.first == len(q.q) {
		q.q, q.first = q.q[:0], 0
	}
	return n
}

// release gives everything back to the pool.
func (q *queue) release() {
	packet.ReleaseBatch(q.q[q.first:])
	*q = queue{}
}
