// SPDX-License-Identifier: BSD-3-Clause

package ring

import "sync/atomic"

// producer writes one direction. It does no I/O; callers serialise its use.
type producer struct {
	sh    lines
	data  []byte
	mask  uint64
	page  uint64 // offset of data within its page
	head  uint64 // what sh.head shows once published
	tail  uint64 // last valid sh.tail
	start uint64 // last jump: nothing unread lies before it
}

func newProducer(sh lines, data []byte, page uint64) producer {
	return producer{sh: sh, data: data, mask: uint64(len(data)) - 1, page: page}
}

// refresh reads the consumer's position.
func (p *producer) refresh() error {
	t := p.sh.tail.Load()
	if t-p.tail > p.head-p.tail || t&7 != 0 { // also catches going backwards
		return ErrCorrupt
	}
	p.tail = t
	return nil
}

// free returns the free bytes as far as known.
func (p *producer) free() uint64 {
	return uint64(len(p.data)) - (p.head - max(p.tail, p.start))
}

// fits reports whether a record of n bytes has room.
func (p *producer) fits(n uint64) (bool, error) {
	if p.free() >= n {
		return true, nil
	}
	if err := p.refresh(); err != nil {
		return false, err
	}
	return p.free() >= n, nil
}

// jump moves to the start of the ring, if the next record of n bytes would
// enter another page and the consumer has read everything. So a flow whose
// reader keeps up lives in one page, which saves memory with thousands of
// flows and cache misses with few. The consumer follows sh.jump.
func (p *producer) jump(n uint64) error {
	at := p.page + p.head&p.mask
	if at>>pageBits == (at+n-1)>>pageBits || p.head&p.mask == 0 {
		return nil
	}
	if err := p.refresh(); err != nil {
		return err
	}
	if p.tail == p.head {
		p.head = (p.head + p.mask) &^ p.mask
		p.start = p.head
		p.sh.jump.Store(p.start)
	}
	return nil
}

// put copies a packet behind the others without showing it to the consumer.
// It reports false if there is no room.
func (p *producer) put(pkt []byte) (bool, error) {
	n := record(len(pkt))
	if err := p.jump(n); err != nil {
		return false, err
	}
	if ok, err := p.fits(n); !ok || err != nil {
		return false, err
	}
	at := p.head & p.mask
	atomic.StoreUint32(lengthAt(p.data, at), uint32(len(pkt)))
	at += headerLn
	if k := copy(p.data[at:], pkt); k < len(pkt) {
		copy(p.data, pkt[k:])
	}
	p.head += n
	return true, nil
}

// publish shows what was put to the consumer and reports whether the bell is
// to be rung.
func (p *producer) publish() bool {
	p.sh.head.Store(p.head)
	// The store above is a full barrier: either we see the flag of a
	// consumer that goes to sleep, or it sees our head.
	return p.sh.rsleep.Load() != 0 && p.sh.rsleep.Swap(0) != 0
}
