// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/poll"
	"o7gw/o7s/spin"
)

// waiter is the part of an End that waits: for packets, or for room. At most
// one goroutine uses it at a time, since it holds the lock of the direction.
type waiter struct {
	flag     *atomic.Uint32  // in shared memory: ring for me
	ready    func() bool     // what it waits for
	deadline atomic.Int64    // see clockOf
	spins    [2]spin.Spinner // of waits that are alike: see habit
	habit    int
	wake     chan struct{} // ends the sleep of a follower

	// Guarded by doorbell.mu:
	waiting bool
	kicked  bool
	slot    *slot // while it watches the bell in poll(2)
}

func (w *waiter) init(flag *atomic.Uint32, ready func() bool) {
	w.flag, w.ready, w.wake = flag, ready, make(chan struct{}, 1)
}

// doorbell is the socket by which the other side wakes us, and its users.
// One of them watches the socket at a time, so that no byte is read by one
// that was meant for another:
//
//	a Poller, if the End is in one; else
//	the first waiter that goes to sleep: in poll(2) on a slot, or in the
//	runtime's poller if no slot is free. The other waiter follows: it sleeps on
//	its channel, and takes over when the watcher wakes.
type doorbell struct {
	fd     int
	hungUp atomic.Bool // the other side is gone
	buf    [16]byte    // used by the watcher

	mu      sync.Mutex
	waiters [2]*waiter
	watcher *waiter
	entry   *entry   // in a Set
	file    *os.File // the same descriptor, once it is in the runtime's poller
	raw     syscall.RawConn
	rang    func(uintptr) bool // drain, for raw
}

func (b *doorbell) init(fd int, waiters ...*waiter) {
	b.fd = fd
	b.rang = func(uintptr) bool { return b.drain() }
	copy(b.waiters[:], waiters)
	endOpened()
}

// ring wakes the other side. A full socket means that it has enough to look
// at.
func (b *doorbell) ring() {
	poll.Send(b.fd, []byte{1})
}

// hangUp tells the other side, and whoever watches here, that it is over.
func (b *doorbell) hangUp() {
	if !b.hungUp.Load() {
		unix.Shutdown(b.fd, unix.SHUT_RDWR)
	}
}

// close gives the descriptor back. Nobody uses it any more.
func (b *doorbell) close() {
	if b.file != nil {
		b.file.Close()
	} else {
		rawClose(b.fd)
	}
	endClosed()
}

// maxDrain bounds the reads of one drain. An honest side rings once for each
// sleep; one that rings without end must not keep us here.
const maxDrain = 8

// drain takes what bytes there are from the socket, within bounds, and reports
// whether there were any, or the other side has hung up. Bytes that stay are
// no harm: everything is looked at anew in any case.
func (b *doorbell) drain() bool {
	for range maxDrain {
		n, err := poll.Read(b.fd, b.buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil || n == 0:
			b.hungUp.Store(true)
			return true
		}
		if n < len(b.buf) {
			break
		}
	}
	// A hang-up waits behind the bytes, and may be told only once.
	switch n, err := poll.Read(b.fd, b.buf[:]); {
	case err == unix.EAGAIN:
	case n == 0 && err != unix.EINTR:
		b.hungUp.Store(true)
	default: // more bytes, so there is no end yet to be read
		fds := [1]unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(fds[:], 0); err == nil && n > 0 {
			b.hungUp.Store(true)
		}
	}
	return true
}

// interrupt makes the waiter look at everything anew, if it sleeps. If it is
// about to, it has registered and will look before it does.
func (b *doorbell) interrupt(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.waiting {
		b.kickLocked(w)
	}
}

func (b *doorbell) kickLocked(w *waiter) {
	if w.kicked {
		return
	}
	w.kicked = true
	switch {
	case b.watcher != w:
		w.wake <- struct{}{}
	case w.slot != nil:
		w.slot.kick()
	default:
		b.file.SetReadDeadline(time.Unix(1, 0))
	}
}

// join registers the waiter before it looks a last time.
func (b *doorbell) join(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.waiting, w.kicked = true, false
	if b.watcher != nil || b.entry != nil {
		return
	}
	b.watcher = w
	if b.file != nil {
		return
	}
	if w.slot = takeSlot(); w.slot == nil {
		b.file = os.NewFile(uintptr(b.fd), "ring-bell")
		b.raw, _ = b.file.SyscallConn() // fails for a nil file only
	}
}

// part undoes join. If the waiter watched the bell, the other one has to.
func (b *doorbell) part(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.waiting = false
	if b.watcher != w {
		if w.kicked {
			<-w.wake
		}
		return
	}
	if w.slot != nil {
		w.slot.giveBack(w.kicked)
		w.slot = nil
	}
	b.watcher = nil
	for _, o := range b.waiters {
		if o.waiting {
			b.kickLocked(o)
		}
	}
}

// sleep waits until the waiter has a reason to look again. It has joined.
func (b *doorbell) sleep(w *waiter, deadline int64) {
	b.mu.Lock()
	leads, slot, raw := b.watcher == w, w.slot, b.raw
	if leads && slot == nil && !w.kicked {
		b.file.SetReadDeadline(timeOf(deadline))
	}
	b.mu.Unlock()
	switch {
	case !leads:
		w.follow(deadline)
	case slot != nil:
		slot.sleep(b.fd, deadline)
		b.drain()
	default:
		raw.Read(b.rang)
	}
}

// follow sleeps without watching the bell.
func (w *waiter) follow(deadline int64) {
	var expired <-chan time.Time
	if deadline != 0 {
		t := time.NewTimer(time.Duration(deadline - now()))
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-w.wake:
		w.wake <- struct{}{} // for part, which knows that it was kicked
	case <-expired:
	}
}

// wakeAll makes every sleeper look again; a Poller calls it after it has
// drained the bell.
func (b *doorbell) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.waiters {
		if w.waiting {
			b.kickLocked(w)
		}
	}
}

// setEntry puts the doorbell into a Set, or takes it out for nil. It
// reports false if it is in one already.
func (b *doorbell) setEntry(n *entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n != nil && b.entry != nil {
		return false
	}
	b.entry = n
	for _, w := range b.waiters { // whoever watches has to change
		if w.waiting {
			b.kickLocked(w)
		}
	}
	return true
}

// entryOf returns the entry in s, nil if there is none.
func (b *doorbell) entryOf(s *Set) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entry == nil || b.entry.s != s {
		return nil
	}
	return b.entry
}

// set returns the Set that watches, nil if there is none.
func (b *doorbell) set() *Set {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entry == nil {
		return nil
	}
	return b.entry.s
}
