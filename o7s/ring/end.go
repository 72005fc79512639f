// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"sync"
	"sync/atomic"
	"time"
)

// End is one side of a ring in the process that uses it. All methods may be
// called from several goroutines; calls of one direction wait for one
// another.
type End struct {
	mine, peer *atomic.Uint32 // state words in shared memory

	rmu sync.Mutex // held by a call that reads, also while it sleeps
	in  *consumer
	// asked is how many packets had been sent when the last one was read.
	asked uint64

	wmu  sync.Mutex // the same for writing
	out  producer
	need uint64 // room that the blocked writer waits for

	read, write waiter
	bell        doorbell

	closed   atomic.Bool
	taken    atomic.Bool // at Close nothing waited for the other side
	finished atomic.Bool // this side writes nothing more; the memory says so to the other
	corrupt  atomic.Bool

	// The memory is unmapped when the last of Close and the accessors
	// without a lock leaves: refs counts them.
	refs atomic.Int32
	mem  []byte
	size int // of the ring of one direction
	side Side
	keep func(*Kept) // nil: nobody wants what the End leaves

	stats counters
}

// counters are written under the lock of their direction and read by Stats.
type counters struct {
	sentPkts, sentBytes, receivedPkts, receivedBytes atomic.Uint64
}

// Stats are the totals of an End.
type Stats struct {
	SentPackets, SentBytes         uint64
	ReceivedPackets, ReceivedBytes uint64
	QueuedIn, QueuedOut            int // bytes that wait in the rings, records and all
}

// Stats returns the totals.
func (e *End) Stats() Stats {
	s := Stats{
		SentPackets: e.stats.sentPkts.Load(), SentBytes: e.stats.sentBytes.Load(),
		ReceivedPackets: e.stats.receivedPkts.Load(), ReceivedBytes: e.stats.receivedBytes.Load(),
	}
	if e.enter() {
		defer e.leave()
		s.QueuedIn = queued(e.in.sh, len(e.in.data))
		s.QueuedOut = queued(e.out.sh, len(e.out.data))
	}
	return s
}

// queued returns the bytes between tail and head, whoever lies.
func queued(sh lines, size int) int {
	tail := sh.tail.Load()
	if j := sh.jump.Load(); j > tail {
		tail = j
	}
	return int(min(sh.head.Load()-tail, uint64(size)))
}

// enter lets an accessor touch the memory without a lock. It reports false
// once the memory may be gone.
func (e *End) enter() bool {
	for {
		n := e.refs.Load()
		if n == 0 {
			return false
		}
		if e.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (e *End) leave() {
	if e.refs.Add(-1) > 0 {
		return
	}
	if k := e.leftover(); k != nil {
		endClosed()
		e.keep(k)
		return
	}
	e.bell.close()
	unmap(e.mem)
}

// Readable reports whether a packet waits, or an end or error that a read
// would return at once.
func (e *End) Readable() bool {
	if !e.enter() {
		return true
	}
	defer e.leave()
	return e.in.unread() || e.corrupt.Load() || e.gone()
}

// gone reports whether the other side has left. Caller has entered or holds a
// lock.
func (e *End) gone() bool { return e.bell.hungUp.Load() || e.peer.Load()&stateClosed != 0 }

// Unread reports whether a packet waits.
func (e *End) Unread() bool {
	if !e.enter() {
		return false
	}
	defer e.leave()
	return e.in.unread()
}

// Received returns a number that changes whenever the other side has sent
// something, whether it was read or not.
func (e *End) Received() uint64 { return e.position(e.in.sh.head) }

// Sent returns a number that changes whenever this side has sent something.
func (e *End) Sent() uint64 { return e.position(e.out.sh.head) }

func (e *End) position(w *atomic.Uint64) uint64 {
	if !e.enter() {
		return 0
	}
	defer e.leave()
	return w.Load()
}

// SetDown marks the flow as unable to carry packets, or clears the mark, and
// lets the other side know.
func (e *End) SetDown(down bool) {
	if !e.enter() {
		return
	}
	defer e.leave()
	for {
		old := e.mine.Load()
		new := old &^ stateDown
		if down {
			new |= stateDown
		}
		if e.mine.CompareAndSwap(old, new) {
			break
		}
	}
	e.bell.ring()
	e.wake()
}

// Down reports whether either side has marked the flow as down.
func (e *End) Down() bool { return e.isSet(e.peer, stateDown) || e.isSet(e.mine, stateDown) }

// PeerDown reports whether the other side has marked the flow as down.
func (e *End) PeerDown() bool { return e.isSet(e.peer, stateDown) }

// PeerClosed reports whether the other side has closed its End or died.
// Packets may still be unread.
func (e *End) PeerClosed() bool { return e.bell.hungUp.Load() || e.isSet(e.peer, stateClosed) }

// Finish says that nothing more will be written: the other side reads what
// was, and then io.EOF.
func (e *End) Finish() {
	e.wmu.Lock() // behind the write under way
	defer e.wmu.Unlock()
	if e.usable() != nil {
		return
	}
	e.finished.Store(true)
	e.mine.Or(stateFinished)
	e.bell.ring()
}

// PeerFinished reports whether the other side writes nothing more. Packets may
// still be unread.
func (e *End) PeerFinished() bool { return e.isSet(e.peer, stateFinished) }

// Taken reports whether the other side had read everything when this one was
// closed.
func (e *End) Taken() bool { return e.taken.Load() }

// PeerDied reports whether the other side has gone without having closed its
// End.
func (e *End) PeerDied() bool { return e.bell.hungUp.Load() && !e.isSet(e.peer, stateClosed) }

func (e *End) isSet(w *atomic.Uint32, bit uint32) bool {
	if !e.enter() {
		return false
	}
	defer e.leave()
	return w.Load()&bit != 0
}

// SetReadDeadline limits the waits of reading calls, also of those under way.
// The zero time removes the limit.
func (e *End) SetReadDeadline(t time.Time) {
	e.read.deadline.Store(clockOf(t))
	e.bell.interrupt(&e.read)
}

// SetWriteDeadline does the same for writing calls.
func (e *End) SetWriteDeadline(t time.Time) {
	e.write.deadline.Store(clockOf(t))
	e.bell.interrupt(&e.write)
}

// WakeReaders makes calls that wait for packets ask their Stop again.
func (e *End) WakeReaders() { e.bell.interrupt(&e.read) }

// WakeWriters makes calls that wait for room ask their Stop again.
func (e *End) WakeWriters() { e.bell.interrupt(&e.write) }

// down is Down for a caller that holds a lock.
func (e *End) down() bool { return (e.peer.Load()|e.mine.Load())&stateDown != 0 }

// fail ends the flow because of corrupt memory.
func (e *End) fail() {
	if !e.corrupt.Swap(true) {
		e.mine.Or(stateClosed)
		e.bell.hangUp()
		e.wake()
	}
}

// wake makes our own waiting calls look again.
func (e *End) wake() {
	e.bell.interrupt(&e.read)
	e.bell.interrupt(&e.write)
}

// Close ends the flow: the other side reads what was written, and then
// io.EOF. Calls under way return ErrClosed. Idempotent.
func (e *End) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	if s := e.bell.set(); s != nil {
		s.remove(e, e.keep == nil)
	}
	e.mine.Or(stateClosed)
	if e.keep != nil && e.peer.Load()&stateClosed == 0 {
		e.bell.ring()
	}
	e.wake()
	// Whoever takes a lock from now on sees closed and does not touch the
	// memory; this waits for those that took it before.
	e.rmu.Lock()
	e.wmu.Lock()
	if e.refs.Load() > 1 && e.keep == nil {
		// Somebody is inside, a function of a Poller perhaps. The other side
		// does not wait for him; as a rule the descriptor goes now, which hangs up as well.
		e.bell.hangUp()
	}
	e.taken.Store(queued(e.out.sh, len(e.out.data)) == 0)
	e.leave()
	e.wmu.Unlock()
	e.rmu.Unlock()
	return nil
}
