// SPDX-License-Identifier: BSD-3-Clause

package egress

import (
	"sync/atomic"

	"o7gw/o7s/packet"
)

// ringSize is the capacity of a ring, a power of two above what it may hold.
const ringSize = 2048

// ring is the queue of one cube. It is not safe for concurrent use, but for
// waiting.
type ring[D any] struct {
	items      [ringSize]Item[D]
	head, tail uint32       // head == tail: empty
	waiting    atomic.Int32 // len, for those without the lock
}

func (r *ring[D]) len() int { return int(r.tail - r.head) }

// push appends as many packets as limit allows, and returns how many.
func (r *ring[D]) push(to *D, pkts []*packet.Buffer, limit int) int {
	n := max(0, min(len(pkts), limit-r.len()))
	for _, b := range pkts[:n] {
		r.items[r.tail%ringSize] = Item[D]{b, to}
		r.tail++
	}
	r.waiting.Store(int32(r.len()))
	return n
}

// pop moves as many items as there are, and fit, to batch, and returns how
// many.
func (r *ring[D]) pop(batch []Item[D]) int {
	n := min(r.len(), len(batch))
	if n == 0 {
		return 0
	}
	for i := range n {
		at := &r.items[r.head%ringSize]
		batch[i] = *at
		*at = Item[D]{}
		r.head++
	}
	r.waiting.Store(int32(r.len()))
	return n
}
