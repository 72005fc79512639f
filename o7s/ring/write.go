// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"os"

	"o7gw/o7s/packet"
)

// Write copies the packet into the ring and waits for room while it is full.
// A packet of length 0 is carried like any other.
func (e *End) Write(p []byte, stop Stop) error {
	if len(p) > MaxPacket {
		return ErrTooLong
	}
	e.wmu.Lock()
	defer e.wmu.Unlock()
	return e.writeLocked(p, stop)
}

// TryWrite is Write with NoWait that does not even wait for another call of
// this side to end.
func (e *End) TryWrite(p []byte) error {
	if len(p) > MaxPacket {
		return ErrTooLong
	}
	if !e.wmu.TryLock() {
		return ErrWouldBlock
	}
	defer e.wmu.Unlock()
	return e.writeLocked(p, NoWait)
}

// writeLocked writes one packet under wmu.
func (e *End) writeLocked(p []byte, stop Stop) error {
	if err := e.put(p, stop); err != nil {
		return err
	}
	e.stats.sentPkts.Store(e.stats.sentPkts.Load() + 1)
	e.stats.sentBytes.Store(e.stats.sentBytes.Load() + uint64(len(p)))
	e.show()
	return nil
}

// WriteBatch copies the packets into the ring, and waits for room while it is
// full. The caller keeps the buffers. It returns how many were written, all
// unless there is an error.
func (e *End) WriteBatch(pkts []*packet.Buffer, stop Stop) (n int, err error) {
	e.wmu.Lock()
	defer e.wmu.Unlock()
	var bytes uint64
	for _, p := range pkts {
		if p.Len() > MaxPacket {
			err = ErrTooLong
		} else {
			err = e.put(p.Bytes(), stop)
		}
		if err != nil {
			break
		}
		bytes += uint64(p.Len())
		n++
	}
	if n > 0 {
		e.stats.sentPkts.Store(e.stats.sentPkts.Load() + uint64(n))
		e.stats.sentBytes.Store(e.stats.sentBytes.Load() + bytes)
		// Not after Close: the memory is still there, since we hold the
		// lock, but nobody reads it.
		e.show()
	}
	return n, err
}

// put copies one packet into the ring, waiting for room.
func (e *End) put(p []byte, stop Stop) error {
	for {
		if err := e.writable(); err != nil {
			return err
		}
		ok, err := e.out.put(p)
		if err != nil {
			e.fail()
			return err
		}
		if ok {
			return nil
		}
		e.show() // what was put before, or nobody will make room
		e.need = record(len(p))
		if err := e.await(&e.write, stop); err != nil {
			return err
		}
	}
}

// writable returns why nothing can be written, however much room there is.
func (e *End) writable() error {
	if err := e.usable(); err != nil {
		return err
	}
	if e.gone() {
		return ErrPeerClosed
	}
	if e.finished.Load() {
		return ErrFinished
	}
	if e.down() {
		return ErrDown
	}
	if e.write.expired() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// show publishes what was put.
func (e *End) show() {
	if e.out.publish() {
		e.bell.ring()
	}
}

// hasRoom reports whether the blocked writer can go on, if only to find that
// the memory is corrupt.
func (e *End) hasRoom() bool {
	ok, err := e.out.fits(e.need)
	return ok || err != nil
}
