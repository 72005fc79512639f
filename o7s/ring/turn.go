// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/poll"
)

// Turn runs the functions that are due. With wait it first waits until one of
// the Ends wants attention or Wake is called.
func (s *Set) Turn(wait bool) {
	s.turn++
	busy := s.anyReady()
	if !busy && wait && s.maySpin() {
		s.looks = 0
		busy = s.spin.Spin(s.ready)
	}
	if !busy {
		s.busy = 0
		s.look(s.arm() && wait)
	} else if s.turn%lookEvery == 0 {
		s.look(false)
	}
	if s.busy++; s.busy == poll.WatchAfter {
		poll.Watch()
	}
	s.serve()
}

// maySpin reports whether the hot Ends are such that looking at them for a while is
// better than to sleep.
func (s *Set) maySpin() bool {
	return len(s.hot) > 0 && len(s.hot) <= maxSpinHot
}

// look takes what the bells have to say, and waits for one if none has.
func (s *Set) look(wait bool) {
	begin := time.Now()
	do := s.poll.Peek
	if wait {
		do = s.poll.Wait
	}
	n, err := do(s.rung[:])
	if wait && err == nil {
		s.spin.Slept(time.Since(begin))
	}
	for _, ev := range s.rung[:n] {
		s.rang(ev.Fd)
	}
}

// rang takes one event.
func (s *Set) rang(id int32) {
	s.mu.Lock()
	if id == eventID {
		var b [8]byte
		unix.Read(s.event, b[:])
		s.woken = false
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

// spinReady is anyReady for a spin. The thread that spins may be the one that
// would have noticed packets for others in the process.
func (s *Set) spinReady() bool {
	if s.looks++; s.looks == watchLooks {
		poll.Watch()
	}
	return s.anyReady()
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
