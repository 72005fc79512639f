// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"io"
	"os"

	"o7gw/o7s/packet"
)

// Read waits for a packet and copies it into p; what does not fit is dropped,
// and reported. After the other side has finished or closed and everything is
// read it returns io.EOF.
func (e *End) Read(p []byte, stop Stop) (n int, truncated bool, err error) {
	return e.readInto(p, false, stop)
}

// ReadPart is Read, but what does not fit into p stays for the next call;
// more reports that there is such a rest.
func (e *End) ReadPart(p []byte, stop Stop) (n int, more bool, err error) {
	return e.readInto(p, true, stop)
}

func (e *End) readInto(p []byte, keep bool, stop Stop) (n int, more bool, err error) {
	e.rmu.Lock()
	defer e.rmu.Unlock()
	for {
		if err := e.readable(); err != nil {
			return 0, false, err
		}
		n, more, ok, err := e.in.take(p, keep)
		switch {
		case err != nil:
			e.fail()
			return 0, false, err
		case ok:
			if !more || !keep {
				e.stats.receivedPkts.Store(e.stats.receivedPkts.Load() + 1)
			}
			e.stats.receivedBytes.Store(e.stats.receivedBytes.Load() + uint64(n))
			e.told()
			return n, more, nil
		}
		if err := e.awaitPacket(stop); err != nil {
			return 0, false, err
		}
	}
}

// readable returns why nothing can be read, whatever waits in the ring.
func (e *End) readable() error {
	if err := e.usable(); err != nil {
		return err
	}
	if e.read.expired() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// told publishes what was read.
func (e *End) told() {
	e.asked = e.stats.sentPkts.Load()
	if e.in.publish() {
		e.bell.ring()
	}
}

// awaitPacket waits after the ring was found empty.
func (e *End) awaitPacket(stop Stop) error {
	// In this order: what was written before the other side left is seen.
	if (e.gone() || e.peer.Load()&stateFinished != 0) && !e.in.unread() {
		return io.EOF
	}
	if e.down() {
		return ErrDown
	}
	// To wait for the answer to what was just written, and to wait for the
	// other side to ask, are different habits.
	e.read.habit = 0
	if e.stats.sentPkts.Load() != e.asked {
		e.read.habit = 1
	}
	return e.await(&e.read, stop)
}

// ReadBatch waits for a packet and takes as many as there are, up to
// len(bufs), in buffers of the pool, which the caller owns then. It returns
// how many.
func (e *End) ReadBatch(bufs []*packet.Buffer, stop Stop) (int, error) {
	if len(bufs) == 0 {
		return 0, nil
	}
	e.rmu.Lock()
	defer e.rmu.Unlock()
	for {
		if err := e.readable(); err != nil {
			return 0, err
		}
		n, bytes, err := e.in.takeBatch(bufs)
		if n > 0 {
			e.stats.receivedPkts.Store(e.stats.receivedPkts.Load() + uint64(n))
			e.stats.receivedBytes.Store(e.stats.receivedBytes.Load() + bytes)
			e.told()
			return n, nil // an error shows again at the next call
		}
		if err != nil {
			e.fail()
			return 0, err
		}
		if err := e.awaitPacket(stop); err != nil {
			return 0, err
		}
	}
}
