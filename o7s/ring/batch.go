// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"sync/atomic"

	"o7gw/o7s/packet"
)

// smallPacket is the payload, in bytes, up to which packets share a pool, so
// that their buffers come from it under one lock.
const smallPacket = 1792

// takeBatch fills bufs with buffers that hold the next packets and returns
// how many, and their bytes. It takes only what it knows of: at most a batch.
func (c *consumer) takeBatch(bufs []*packet.Buffer) (n int, bytes uint64, err error) {
	var lengths [packet.BatchSize]uint32
	if _, ok, err := c.next(); !ok || err != nil {
		return 0, 0, err
	}
	count, err := c.measure(lengths[:min(len(bufs), len(lengths))])
	for n < count {
		// A run of packets whose buffers come from one pool.
		small := lengths[n] <= smallPacket
		end, longest := n, uint32(0)
		for end < count && (lengths[end] <= smallPacket) == small {
			longest = max(longest, lengths[end])
			end++
			if !small {
				break
			}
		}
		packet.GetBatch(bufs[n:end], int(longest))
		for ; n < end; n++ {
			left := uint64(lengths[n])
			b := bufs[n]
			b.SetLen(int(left))
			c.copyAt(b.Bytes(), c.done)
			c.skip(left + c.done)
			bytes += left
		}
	}
	return n, bytes, err
}

// measure notes how much is left to read of the next packets. The lengths in
// the memory are not looked at again.
func (c *consumer) measure(lengths []uint32) (n int, err error) {
	at := c.tail
	if c.length != 0 { // the first was read in part
		lengths[0] = uint32(c.length - c.done)
		at += record(int(c.length))
		n = 1
	}
	for n < len(lengths) && at != c.head {
		l := atomic.LoadUint32(lengthAt(c.data, at&c.mask))
		if l > MaxPacket || record(int(l)) > c.head-at {
			return n, ErrCorrupt
		}
		lengths[n] = l
		at += record(int(l))
		n++
	}
	return n, nil
}
