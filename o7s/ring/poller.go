// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

// Poller serves many Ends with one goroutine, which runs their functions
// itself: no hand-over between the bell and the work.
//
//	wait for bells ─▶ drain them ─▶ run the functions ─▶ again while something is
//	      ▲                                              unread │
//	      └── mark all as asleep, look once more ◀── spin a little
type Poller struct {
	epoll, event int // the event descriptor wakes the goroutine
	done         sync.WaitGroup
	closed       atomic.Bool

	mu      sync.Mutex
	entries map[int32]*entry
	fresh   []*entry // added, not served yet
	last    int32

	// Used by the goroutine alone:
	hot   []*entry // not marked as asleep: looked at in every turn
	spin  spinner
	batch [packet.BatchSize]*packet.Buffer // for the Port that is served
}

// entry is an End in a Poller.
type entry struct {
	p       *Poller
	id      int32
	e       *End
	fn      func()
	removed atomic.Bool
	hot     bool // in Poller.hot
}

const (
	// eventID marks the event descriptor among the bells.
	eventID = 0
	// lookEvery is after how many busy turns the bells are looked at, too.
	lookEvery = 8
	// maxSpinHot bounds how many Ends one spin looks at.
	maxSpinHot = 16
)

// NewPoller starts a Poller. Close ends it.
func NewPoller() (*Poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("ring: poller: %w", err)
	}
	ev, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("ring: poller: %w", err)
	}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, ev, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: eventID}); err != nil {
		unix.Close(ep)
		unix.Close(ev)
		return nil, fmt.Errorf("ring: poller: %w", err)
	}
	p := &Poller{epoll: ep, event: ev, entries: map[int32]*entry{}, last: eventID}
	p.done.Add(1)
	go func() {
		defer p.done.Done()
		p.run()
	}()
	return p, nil
}

// Add calls fn, on the goroutine of the Poller and soon for the first time,
// when packets have arrived or something has changed. It is called again
// while packets stay unread. An End can be in one Poller.
func (p *Poller) Add(e *End, fn func()) error {
	if !e.enter() {
		return ErrClosed
	}
	defer e.leave()
	n := &entry{p: p, e: e, fn: fn}
	if !e.bell.setEntry(n) {
		return errors.New("ring: poller: the End is in one already")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := ErrClosed
	if !p.closed.Load() {
		for ok := true; ok || p.last == eventID; { // a free id
			p.last++
			_, ok = p.entries[p.last]
		}
		n.id = p.last
		// Edge-triggered: the bell is drained anyway, and the event of a
		// hang-up must not come back for ever.
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1), Fd: n.id}
		err = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, e.bell.fd, &ev)
	}
	if err != nil {
		e.bell.setEntry(nil)
		return fmt.Errorf("ring: poller: %w", err)
	}
	p.entries[n.id] = n
	p.fresh = append(p.fresh, n)
	p.wake()
	return nil
}

// Remove ends the calls for e. One that is under way may still finish. It may
// be called from within such a call.
func (p *Poller) Remove(e *End) {
	if !e.enter() {
		return
	}
	defer e.leave()
	n := e.bell.entryOf(p)
	if n == nil {
		return
	}
	n.removed.Store(true)
	p.mu.Lock()
	delete(p.entries, n.id)
	if !p.closed.Load() {
		unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, e.bell.fd, nil)
	}
	p.mu.Unlock()
	e.bell.setEntry(nil)
}

// Close waits for the call under way and ends the Poller. Not from within a
// call. The Ends stay open.
func (p *Poller) Close() error {
	p.mu.Lock()
	if p.closed.Swap(true) {
		p.mu.Unlock()
		p.done.Wait()
		return nil
	}
	p.wake()
	p.mu.Unlock()
	p.done.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.entries {
		n.e.bell.setEntry(nil)
	}
	p.entries, p.fresh, p.hot = nil, nil, nil
	unix.Close(p.epoll)
	return unix.Close(p.event)
}

func (p *Poller) wake() {
	one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1}
	unix.Write(p.event, one[:])
}

func (p *Poller) run() {
	var events [128]unix.EpollEvent
	ready := p.anyReady
	for turn := 0; !p.closed.Load(); turn++ {
		timeout := 0
		busy := p.anyReady()
		if !busy && len(p.hot) > 0 && len(p.hot) <= maxSpinHot {
			busy = p.spin.spin(ready)
		}
		if !busy && p.arm() {
			timeout = -1
		}
		if timeout != 0 || turn%lookEvery == 0 {
			begin := now()
			n, err := unix.EpollWait(p.epoll, events[:], timeout)
			if timeout != 0 && err == nil {
				p.spin.slept(now() - begin)
			}
			for _, ev := range events[:max(n, 0)] {
				p.rang(ev.Fd)
			}
		}
		p.serve()
	}
}

// rang takes one event.
func (p *Poller) rang(id int32) {
	p.mu.Lock()
	if id == eventID {
		var b [8]byte
		unix.Read(p.event, b[:])
		for _, n := range p.fresh {
			p.heat(n)
		}
		p.fresh = p.fresh[:0]
		p.mu.Unlock()
		return
	}
	n := p.entries[id]
	p.mu.Unlock()
	if n == nil || !n.e.enter() {
		return
	}
	n.e.bell.drain()
	n.e.bell.wakeAll()
	n.e.leave()
	p.heat(n)
}

func (p *Poller) heat(n *entry) {
	if !n.hot {
		n.hot = true
		p.hot = append(p.hot, n)
	}
}

// serve runs the functions of all hot Ends.
func (p *Poller) serve() {
	for _, n := range p.hot {
		if !n.removed.Load() && n.e.enter() {
			n.fn()
			n.e.leave()
		}
	}
}

// anyReady reports whether a hot End has something unread.
func (p *Poller) anyReady() bool {
	for _, n := range p.hot {
		if n.ready() {
			return true
		}
	}
	return false
}

func (n *entry) ready() bool {
	if n.removed.Load() || !n.e.enter() {
		return false
	}
	defer n.e.leave()
	return n.e.usable() == nil && n.e.in.unread()
}

// arm marks the hot Ends as asleep, except those that have something unread.
// It reports whether none is left.
func (p *Poller) arm() bool {
	left := p.hot[:0]
	for _, n := range p.hot {
		if !n.asleep() {
			left = append(left, n)
		} else {
			n.hot = false
		}
	}
	clear(p.hot[len(left):])
	p.hot = left
	return len(left) == 0
}

// asleep asks for the bell and reports whether there is still nothing to do.
func (n *entry) asleep() bool {
	if n.removed.Load() || !n.e.enter() {
		return true
	}
	defer n.e.leave()
	n.e.in.sh.rsleep.Store(1)
	if n.ready() {
		n.e.in.sh.rsleep.Store(0)
		return false
	}
	return true
}
