// SPDX-License-Identifier: BSD-3-Clause

package eth

import "o7gw/o7s/packet"

// queueSize is the capacity of a queue, a power of two above what it may hold.
const queueSize = 2048

// queue is a ring of frames. It is not safe for concurrent use.
type queue struct {
	ring       [queueSize]*packet.Buffer
	head, tail uint32 // head == tail: empty
}

func (q *queue) len() int { return int(q.tail - q.head) }

// push appends as many frames as limit allows, and returns how many.
func (q *queue) push(frames []*packet.Buffer, limit int) int {
	n := max(0, min(len(frames), limit-q.len()))
	for _, b := range frames[:n] {
		q.ring[q.tail%queueSize] = b
		q.tail++
	}
	return n
}

// pop moves up to limit frames to the outlet, and returns how many.
func (q *queue) pop(o *outlet, limit int) int {
	n := min(q.len(), limit)
	for range n {
		at := &q.ring[q.head%queueSize]
		o.bufs[o.end] = *at
		*at = nil
		o.end++
		q.head++
	}
	return n
}
