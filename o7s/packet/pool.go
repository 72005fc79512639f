// SPDX-License-Identifier: BSD-3-Clause

package packet

import "sync"

// The pools are stacks under a mutex that a batch takes once. A sync.Pool
// would be emptied by every garbage collection, and costs its price per
// packet instead of per batch.

// classes are the payload sizes of the pools and how many free buffers each
// keeps. The first fits an Ethernet frame, the second a jumbo frame, the
// third the largest datagram.
var classes = [...]struct{ payload, keep int }{
	{1792, 16384},
	{9216, 1024},
	{MaxPayload, 256},
}

const unpooled = uint8(len(classes))

type pool struct {
	mu   sync.Mutex
	free []*Buffer
}

var pools [len(classes)]pool

func classFor(n int) uint8 {
	for i := range classes {
		if n <= classes[i].payload {
			return uint8(i)
		}
	}
	panic("packet: payload above MaxPayload")
}

func newBuffer(class uint8) *Buffer {
	return &Buffer{
		buf:   make([]byte, Headroom+classes[class].payload+Tailroom),
		off:   Headroom,
		end:   Headroom,
		class: class,
	}
}

// Get returns an empty buffer with room for a payload of n bytes, n at most
// MaxPayload, behind Headroom bytes of headroom.
func Get(n int) *Buffer {
	var one [1]*Buffer
	GetBatch(one[:], n)
	return one[0]
}

// GetBatch fills bufs with empty buffers, each with room for a payload of n
// bytes, under one lock.
func GetBatch(bufs []*Buffer, n int) {
	class := classFor(n)
	p := &pools[class]
	p.mu.Lock()
	k := min(len(bufs), len(p.free))
	rest := len(p.free) - k
	copy(bufs, p.free[rest:])
	clear(p.free[rest:])
	p.free = p.free[:rest]
	p.mu.Unlock()
	for _, b := range bufs[:k] {
		b.off, b.end, b.cube, b.free = Headroom, Headroom, 0, false
	}
	for i := k; i < len(bufs); i++ {
		bufs[i] = newBuffer(class)
	}
}

// Release gives the buffer back. The caller must not touch it again; a
// second release panics, since it would give one buffer to two owners.
func (b *Buffer) Release() {
	one := [1]*Buffer{b}
	ReleaseBatch(one[:])
}

// ReleaseBatch releases all buffers and clears the slice. Runs of one class
// share a lock.
func ReleaseBatch(bufs []*Buffer) {
	for i := 0; i < len(bufs); {
		class := bufs[i].class
		j := i
		for j < len(bufs) && bufs[j].class == class {
			if bufs[j].free {
				panic("packet: buffer released twice")
			}
			bufs[j].free = true
			j++
		}
		if class != unpooled {
			p := &pools[class]
			p.mu.Lock()
			k := min(j-i, classes[class].keep-len(p.free))
			if k > 0 {
				p.free = append(p.free, bufs[i:i+k]...)
			}
			p.mu.Unlock()
		}
		i = j
	}
	clear(bufs)
}
