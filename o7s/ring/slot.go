// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// maxSlots is how many goroutines of the process may sleep in poll(2) itself.
// That wakes up faster than through the runtime's poller (by 7 of 72 µs, two
// wake-ups, measured on two processors), but each holds an OS thread and, for
// a moment, a processor of the scheduler: with more than there are, many busy
// flows get slower (16 flows on two processors, 8 slots: by 15 %). The rest sleeps in
// the runtime's poller.
var maxSlots = min(runtime.NumCPU(), 8)

// slot is the right to sleep in poll(2), with an event descriptor by which
// others in the process end that sleep.
type slot struct {
	fd int
}

// slots of the process. Their descriptors exist only while Ends are open.
var slots struct {
	mu   sync.Mutex
	ends int // open Ends
	used int
	free []*slot
}

// endOpened and endClosed tell the slots of the Ends of the process.
func endOpened() {
	slots.mu.Lock()
	slots.ends++
	slots.mu.Unlock()
}

func endClosed() {
	slots.mu.Lock()
	defer slots.mu.Unlock()
	if slots.ends--; slots.ends > 0 {
		return
	}
	for _, s := range slots.free {
		unix.Close(s.fd)
	}
	slots.free = nil
}

// takeSlot returns a free slot, nil if there is none.
func takeSlot() *slot {
	slots.mu.Lock()
	defer slots.mu.Unlock()
	if slots.used >= maxSlots {
		return nil
	}
	if n := len(slots.free); n > 0 {
		s := slots.free[n-1]
		slots.free = slots.free[:n-1]
		slots.used++
		return s
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil { // out of descriptors: the runtime's poller needs none
		return nil
	}
	slots.used++
	return &slot{fd: fd}
}

// giveBack returns the slot after a sleep. A kick that came too late must
// not wake the next user.
func (s *slot) giveBack(kicked bool) {
	if kicked {
		var b [8]byte
		unix.Read(s.fd, b[:])
	}
	slots.mu.Lock()
	slots.used--
	slots.free = append(slots.free, s)
	slots.mu.Unlock()
}

// kick ends the sleep.
func (s *slot) kick() {
	one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // not 0 in either byte order
	unix.Write(s.fd, one[:])
}

// sleep waits until the bell has something to say, a kick, or the deadline
// (nanoseconds, 0: none).
func (s *slot) sleep(bell int, deadline int64) {
	fds := [2]unix.PollFd{
		{Fd: int32(bell), Events: unix.POLLIN},
		{Fd: int32(s.fd), Events: unix.POLLIN},
	}
	var limit *unix.Timespec
	if deadline != 0 {
		ts := unix.NsecToTimespec(max(deadline-now(), 0))
		limit = &ts
	}
	// An interrupted or failed call is a spurious wake-up: the caller looks
	// at everything anew.
	unix.Ppoll(fds[:], limit, nil)
}
