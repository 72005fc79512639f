// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Turn waits until one of the Ends wants attention, Wake is called, or the
// deadline passes (nanoseconds of the monotonic clock, see Set.Deadline; 0
// waits for ever, negative not at all), and then runs the functions that are due.
func (s *Set) Turn(deadline int64) {
	s.turn++
	timeout := 0
	busy := s.anyReady()
	if !busy && deadline >= 0 && len(s.hot) > 0 && len(s.hot) <= maxSpinHot {
		busy = s.spin.spin(s.ready)
	}
	if !busy && s.arm() {
		timeout = timeoutOf(deadline)
	}
	if timeout != 0 || !busy || s.turn%lookEvery == 0 {
		s.look(timeout)
	}
	s.serve()
}

// timeoutOf returns the milliseconds that epoll may wait, rounded up.
func timeoutOf(deadline int64) int {
	switch {
	case deadline == 0:
		return -1
	case deadline < 0:
		return 0
	}
	return int(min(max((deadline-now()+999_999)/1_000_000, 0), 1<<30))
}

// look takes what the bells have to say.
func (s *Set) look(timeout int) {
	var events [128]unix.EpollEvent
	begin := now()
	n, err := unix.EpollWait(s.epoll, events[:], timeout)
	if timeout != 0 && err == nil {
		s.spin.slept(now() - begin)
	}
	for _, ev := range events[:max(n, 0)] {
		s.rang(ev.Fd)
	}
}

// rang takes one event.
func (s *Set) rang(id int32) {
	s.mu.Lock()
	if id == eventID {
		var b [8]byte
		unix.Read(s.event, b[:])
		for _, n := range s.fresh {
			s.heat(n)
		}
		s.fresh = s.fresh[:0]
		s.mu.Unlock()
		return
	}
	n := s.entries[id]
	s.mu.Unlock()
	if n == nil || !n.e.enter() {
		return
	}
	n.e.bell.drain()
	n.e.bell.wakeAll()
	n.e.leave()
	s.heat(n)
}

func (s *Set) heat(n *entry) {
	if !n.hot {
		n.hot = true
		s.hot = append(s.hot, n)
	}
}

// serve runs the functions of all hot Ends.
func (s *Set) serve() {
	s.hot = slices.DeleteFunc(s.hot, func(n *entry) bool {
		n.hot = n.run()
		return !n.hot
	})
}

// anyReady reports whether a hot End has something unread.
func (s *Set) anyReady() bool {
	for _, n := range s.hot {
		if n.ready() {
			return true
		}
	}
	return false
}

// arm marks the hot Ends as asleep, except those that have something unread.
// It reports whether none is left.
func (s *Set) arm() bool {
	s.hot = slices.DeleteFunc(s.hot, func(n *entry) bool {
		n.hot = !n.asleep()
		return !n.hot
	})
	return len(s.hot) == 0
}
