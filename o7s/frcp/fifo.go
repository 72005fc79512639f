// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "o7gw/o7s/packet"

// fifo is a queue of packets in a ring that grows.
type fifo struct {
	ring  []*packet.Buffer // length 0 or a power of two
	head  uint32           // position of the first packet
	count int
	bytes int
}

func (q *fifo) push(b *packet.Buffer) {
	if q.count == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+uint32(q.count))&uint32(len(q.ring)-1)] = b
	q.count++
	q.bytes += b.Len()
}

func (q *fifo) grow() {
	ring := make([]*packet.Buffer, max(16, 2*len(q.ring)))
	for i := range q.count {
		ring[i] = q.ring[(q.head+uint32(i))&uint32(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}

// pop moves packets to dst and returns how many.
func (q *fifo) pop(dst []*packet.Buffer) int {
	n := min(len(dst), q.count)
	for i := range n {
		p := &q.ring[q.head&uint32(len(q.ring)-1)]
		dst[i], *p = *p, nil
		q.bytes -= dst[i].Len()
		q.head++
	}
	q.count -= n
	return n
}
