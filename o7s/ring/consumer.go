// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"sync/atomic"
	"unsafe"
)

// consumer reads one direction. It does no I/O; callers serialise its use,
// except for unread.
type consumer struct {
	sh   lines
	data []byte
	mask uint64
	head uint64 // last valid sh.head
	tail uint64 // next record to read
	// shown is the tail that the producer has been told. Others read it to
	// see whether something is unread: they must not trust sh.tail, which
	// the producer could change to keep us busy.
	shown atomic.Uint64
	// A record that was read in part: its length and how much was read. The
	// length in the memory may have changed since.
	length, done uint64
}

func newConsumer(sh lines, data []byte) *consumer {
	return &consumer{sh: sh, data: data, mask: uint64(len(data)) - 1}
}

// lengthAt returns the length word of the record at the offset, which is a
// multiple of 8 below len(data).
func lengthAt(data []byte, at uint64) *uint32 {
	return (*uint32)(unsafe.Pointer(&data[at]))
}

// unread reports whether the producer has shown something new. Safe at any
// time from any goroutine.
func (c *consumer) unread() bool { return c.sh.head.Load() != c.shown.Load() }

// next finds the next record and returns the length of its packet, or false
// if there is none.
func (c *consumer) next() (uint64, bool, error) {
	if c.length != 0 {
		return c.length, true, nil
	}
	if c.tail == c.head {
		if err := c.refill(); err != nil {
			return 0, false, err
		}
		if c.tail == c.head {
			return 0, false, nil
		}
	}
	n := uint64(atomic.LoadUint32(lengthAt(c.data, c.tail&c.mask)))
	if n > MaxPacket || record(int(n)) > c.head-c.tail {
		return 0, false, ErrCorrupt
	}
	return n, true, nil
}

// refill takes the producer's position, when all known records are read.
func (c *consumer) refill() error {
	h := c.sh.head.Load()
	if h == c.head {
		return nil
	}
	size := uint64(len(c.data))
	if h-c.head > 2*size || h&7 != 0 { // also catches going backwards
		return ErrCorrupt
	}
	if j := c.sh.jump.Load(); j > c.tail && j <= h && j&7 == 0 {
		c.tail = j
	}
	// A head without a record would look unread for ever.
	if h-c.tail > size || h == c.tail {
		return ErrCorrupt
	}
	c.head = h
	return nil
}

// copyAt copies bytes of the current record, from offset from of its packet.
func (c *consumer) copyAt(dst []byte, from uint64) {
	at := (c.tail + headerLn + from) & c.mask
	if k := copy(dst, c.data[at:]); k < len(dst) {
		copy(dst[k:], c.data)
	}
}

// skip ends the current record, whose packet has n bytes.
func (c *consumer) skip(n uint64) {
	c.tail += record(int(n))
	c.length, c.done = 0, 0
}

// take copies the packet, or what is left of it, into p. What does not fit
// stays for the next call if keep is set, and is dropped if not.
func (c *consumer) take(p []byte, keep bool) (n int, more, ok bool, err error) {
	size, ok, err := c.next()
	if !ok || err != nil {
		return 0, false, false, err
	}
	left := size - c.done
	n = int(min(left, uint64(len(p))))
	c.copyAt(p[:n], c.done)
	more = uint64(n) < left
	if more && keep {
		c.length = size
		c.done += uint64(n)
	} else {
		c.skip(size)
	}
	return n, more, true, nil
}

// publish tells the producer what was read: always if all of what is known
// was, else only after an eighth of the ring, for each telling moves a cache line. It
// reports whether the bell is to be rung for a producer that waits for room:
// not before half the ring is free, so that the two do not wake each other
// for every packet.
func (c *consumer) publish() bool {
	size := uint64(len(c.data))
	if read := c.tail - c.shown.Load(); read == 0 || (c.tail != c.head && read < size/8) {
		return false
	}
	c.shown.Store(c.tail)
	c.sh.tail.Store(c.tail) // full barrier, see producer.publish
	if c.sh.wsleep.Load() == 0 {
		return false
	}
	if c.tail != c.head && c.sh.head.Load()-c.tail > size/2 {
		return false
	}
	return c.sh.wsleep.Swap(0) != 0
}
