// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"o7gw/o7s/poll"
	"o7gw/o7s/spin"
)

// Set watches many Ends for the goroutine that calls Turn, and runs their
// functions on it: no hand-over between the bell and the work. Most users
// want a Poller, which brings that goroutine.
//
//	wait for bells ─▶ drain them ─▶ run the functions ─▶ again while something is
//	      ▲                                              unread │
//	      └── mark all as asleep, look once more ◀── spin a little
//
// Add, Remove, Wake and Close may be called from any goroutine, Turn and
// Resume by one at a time.
type Set struct {
	poll  *poll.Poll
	event int // descriptor that ends a wait

	mu      sync.Mutex
	closed  bool
	entries map[int32]*entry
	fresh   []*entry // added, not served yet
	last    int32
	woken   bool // the event descriptor has something to be read

	// Used by Turn and Resume alone:
	hot   []*entry // not marked as asleep: looked at in every turn
	turn  uint
	busy  int // turns in a row that were not waited for
	looks int // of the present spin
	spin  spin.Spinner
	rung  [128]unix.EpollEvent
	ready func() bool
}

// entry is an End in a Set.
type entry struct {
	s       *Set
	id      int32
	e       *End
	fn      func() bool
	removed atomic.Bool
	hot     bool // in Set.hot
	ended   bool // fn was called after the other side had left and all was read
}

const (
	// eventID marks the event descriptor among the bells.
	eventID = 0
	// lookEvery is after how many busy turns the bells are looked at, too.
	lookEvery = 8
	// watchLooks is after how many looks of a spin somebody else is to watch:
	// some 10 µs.
	watchLooks = 16
	// maxSpinHot bounds how many Ends one spin looks at.
	maxSpinHot = 16
)

// NewSet returns an empty Set.
func NewSet() (*Set, error) {
	p, err := poll.New()
	if err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	ev, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err == nil {
		if err = p.Add(ev, unix.EPOLLIN, eventID); err != nil {
			unix.Close(ev)
		}
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("ring: event descriptor: %w", err)
	}
	s := &Set{poll: p, event: ev, entries: map[int32]*entry{}}
	s.ready = s.spinReady
	return s, nil
}

// Add watches e. fn is called soon for the first time, and then when packets
// have arrived or something has changed. While fn reports true it is called
// again as long as packets are unread; after false it is not called before
// Resume. An End can be in one Set.
func (s *Set) Add(e *End, fn func() bool) error { return s.add(e, fn, false) }

// addQuiet is Add for a function that has no use for a first call when nothing has
// happened yet: then nobody is woken.
func (s *Set) addQuiet(e *End, fn func() bool) error { return s.add(e, fn, true) }

func (s *Set) add(e *End, fn func() bool, quiet bool) error {
	if !e.enter() {
		return ErrClosed
	}
	defer e.leave()
	n := &entry{s: s, e: e, fn: fn}
	if !e.bell.setEntry(n) {
		return errors.New("ring: the End is in a set already")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.addLocked(n); err != nil {
		e.bell.setEntry(nil)
		return fmt.Errorf("ring: add to a set: %w", err)
	}
	// From here on the bell brings whatever happens.
	if !quiet || !n.asleep() || e.peer.Load() != 0 {
		s.fresh = append(s.fresh, n)
		s.wakeLocked()
	}
	return nil
}

func (s *Set) addLocked(n *entry) error {
	if s.closed {
		return ErrClosed
	}
	for taken := true; taken; _, taken = s.entries[s.last] {
		if s.last++; s.last == math.MaxInt32 {
			s.last = eventID + 1
		}
	}
	n.id = s.last
	// Edge-triggered: the event of a hang-up must not come back for ever.
	const events = unix.EPOLLIN | unix.EPOLLRDHUP | 1<<31
	if err := s.poll.Add(n.e.bell.fd, events, n.id); err != nil {
		return err
	}
	s.entries[n.id] = n
	return nil
}

// Remove ends the calls for e. One that is under way may still finish. It may
// be called from within such a call.
func (s *Set) Remove(e *End) { s.remove(e, false) }

// remove is Remove. A descriptor that is about to be closed need not be taken out
// of the poll.
func (s *Set) remove(e *End, closing bool) {
	if !e.enter() {
		return
	}
	defer e.leave()
	n := e.bell.entryOf(s)
	if n == nil || n.removed.Swap(true) {
		return
	}
	s.mu.Lock()
	delete(s.entries, n.id)
	if !s.closed && !closing {
		s.poll.Remove(e.bell.fd)
	}
	s.mu.Unlock()
	e.bell.setEntry(nil)
}

// Resume looks at e again, whose function has reported false.
func (s *Set) Resume(e *End) {
	if n := e.bell.entryOf(s); n != nil {
		s.heat(n)
	}
}

// revive is Resume from any goroutine.
func (s *Set) revive(e *End) {
	n := e.bell.entryOf(s)
	if n == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.fresh = append(s.fresh, n)
		s.wakeLocked()
	}
}

// Wake ends the wait of a Turn.
func (s *Set) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wakeLocked()
	}
}

func (s *Set) wakeLocked() {
	if s.woken {
		return
	}
	s.woken = true
	one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // not 0 in either byte order
	unix.Write(s.event, one[:])
}

// Close gives the descriptors back. The Ends stay open. No Turn may be under
// way.
func (s *Set) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.poll.Close()
	unix.Close(s.event)
	entries := s.entries
	s.entries, s.fresh = nil, nil
	s.mu.Unlock()
	for _, n := range entries {
		n.removed.Store(true)
		n.e.bell.setEntry(nil)
	}
	return nil
}

// ready reports whether fn has something to do.
func (n *entry) ready() bool {
	if n.removed.Load() || !n.e.enter() {
		return false
	}
	defer n.e.leave()
	return n.e.usable() == nil && (n.e.in.unread() || n.e.gone() && !n.ended)
}

// run calls fn and reports whether the End stays in the Set as it is.
func (n *entry) run() bool {
	if n.removed.Load() || !n.e.enter() {
		return false
	}
	defer n.e.leave()
	ended := n.e.gone() && !n.e.in.unread()
	again := n.fn() && !n.removed.Load()
	n.ended = n.ended || ended
	return again
}

// asleep asks for the bell and reports whether there is still nothing to do.
func (n *entry) asleep() bool {
	if n.removed.Load() || !n.e.enter() {
		return true
	}
	defer n.e.leave()
	n.e.in.sh.rsleep.Store(1) // full barrier, see producer.publish
	if n.ready() {
		n.e.in.sh.rsleep.Store(0)
		return false
	}
	return true
}
