// SPDX-License-Identifier: BSD-3-Clause

package udp

import "o7gw/o7s/packet"

// queueSize is the capacity of a queue, a power of two above what it may hold.
const queueSize = 2048

// queue is a ring of items. It is not safe for concurrent use.
type queue struct {
	ring       [queueSize]item
	head, tail uint32 // head == tail: empty
}

func (q *queue) len() int { return int(q.tail - q.head) }

// push appends as many packets as limit allows, and returns how many.
func (q *queue) push(to *peer, pkts []*packet.Buffer, limit int) int {
	n := max(0, min(len(pkts), limit-q.len()))
	for _, b := range pkts[:n] {
		q.ring[q.tail%queueSize] = item{b, to}
		q.tail++
	}
	return n
}

// pop moves up to limit items to the outlet, and returns how many.
func (q *queue) pop(o *outlet, limit int) int {
	n := min(q.len(), limit)
	for range n {
		at := &q.ring[q.head%queueSize]
		o.items[o.end] = *at
		*at = item{}
		o.end++
		q.head++
	}
	return n
}
