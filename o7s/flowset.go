// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"

	"o7gw/o7s/ring"
)

// Kind is the kind of an Event. Values are those of the prototype (spec 30
// §2.10).
type Kind uint8

const (
	// Packet: packets can be read. Reported by every Wait as long as that
	// is so. A keepalive counts: do not read with a call that may wait.
	Packet Kind = 1 << iota
	// Down: the flow is marked as unable to carry packets.
	Down
	// Up: that mark was cleared.
	Up
	// Alloc: the flow was allocated, that is: added to the set.
	Alloc
	// Dealloc: the peer, or the layer, ended the flow. Packets may be left.
	Dealloc
	// Peer: nothing arrived from the peer for the timeout of the QoS.
	Peer
)

// String returns the name of the event.
func (k Kind) String() string {
	switch k {
	case Packet:
		return "packet"
	case Down:
		return "down"
	case Up:
		return "up"
	case Alloc:
		return "alloc"
	case Dealloc:
		return "dealloc"
	case Peer:
		return "peer"
	}
	return "unknown"
}

// Event is something that happened to a flow in a set.
type Event struct {
	Flow *Flow
	Kind Kind
}

// FlowSet waits for many flows at once. A flow is in one set at most. Waiting
// happens on the calling goroutine; one Wait at a time.
type FlowSet struct {
	stack *Stack
	set   *ring.Set

	wait sync.Mutex // held by Wait

	mu      sync.Mutex // guards the fields below
	closed  bool
	members map[*Flow]*member
	pending []*member // to be looked at
}

// member is a flow in a set, and what was reported of it.
type member struct {
	f                   *Flow
	queued              bool // in FlowSet.pending
	gone                bool // removed
	known               bool // Alloc was reported
	down, dealloc, peer bool
}

// NewFlowSet returns an empty set.
func (s *Stack) NewFlowSet() (*FlowSet, error) {
	set, err := ring.NewSet()
	if err != nil {
		return nil, opError("flow set", "", err)
	}
	fs := &FlowSet{stack: s, set: set, members: map[*Flow]*member{}}
	if !s.hold(fs) {
		set.Close()
		return nil, opError("flow set", "", net.ErrClosed)
	}
	return fs, nil
}

// Add puts a flow into the set.
func (s *FlowSet) Add(f *Flow) error {
	m := &member{f: f}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return opError("add to flow set", f.Name(), net.ErrClosed)
	}
	if s.members[f] != nil {
		s.mu.Unlock()
		return opError("add to flow set", f.Name(), errors.New("it is in the set already"))
	}
	s.members[f] = m
	s.mu.Unlock()
	if err := f.f.Watch(s.set, func() { s.note(m) }); err != nil {
		s.mu.Lock()
		delete(s.members, f)
		s.mu.Unlock()
		return opError("add to flow set", f.Name(), err)
	}
	s.note(m)
	s.set.Wake()
	return nil
}

// Remove takes a flow out of the set, if it is in it. Do so before closing
// the flow.
func (s *FlowSet) Remove(f *Flow) {
	s.mu.Lock()
	m := s.members[f]
	delete(s.members, f)
	if m != nil {
		m.gone = true
	}
	s.mu.Unlock()
	if m != nil {
		f.f.Unwatch(s.set)
	}
}

// Has reports whether the flow is in the set.
func (s *FlowSet) Has(f *Flow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members[f] != nil
}

// note queues a flow that Wait has to look at.
func (s *FlowSet) note(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.queued && !m.gone {
		m.queued = true
		s.pending = append(s.pending, m)
	}
}

// Wait waits for events and appends them to evs[:0], or to a new slice if it
// is nil.
func (s *FlowSet) Wait(ctx context.Context, evs []Event) ([]Event, error) {
	s.wait.Lock()
	defer s.wait.Unlock()
	defer context.AfterFunc(ctx, s.set.Wake)()
	evs = evs[:0]
	for {
		if evs = s.collect(evs); len(evs) > 0 {
			return evs, nil
		}
		if err := ctx.Err(); err != nil {
			return evs, opError("wait for flow set", "", err)
		}
		s.mu.Lock()
		closed, more := s.closed, len(s.pending) > 0
		s.mu.Unlock()
		if closed {
			return evs, opError("wait for flow set", "", net.ErrClosed)
		}
		s.set.Turn(!more)
	}
}

// collect looks at the flows that were noted and appends what is new. Flows with
// unread packets stay noted.
func (s *FlowSet) collect(evs []Event) []Event {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	pending = slices.DeleteFunc(pending, func(m *member) bool {
		m.queued = false
		return m.gone
	})
	s.mu.Unlock()
	for _, m := range pending {
		n := len(evs)
		evs = m.report(evs)
		if len(evs) > n && evs[len(evs)-1].Kind == Packet {
			s.note(m)
		} else {
			m.f.f.Resume(s.set)
		}
	}
	return evs
}

// report appends what has happened to the flow since the last time. Packet
// comes last.
func (m *member) report(evs []Event) []Event {
	f := m.f
	add := func(k Kind) { evs = append(evs, Event{f, k}) }
	if !m.known {
		m.known = true
		add(Alloc)
	}
	if down := f.f.Down(); down != m.down {
		if m.down = down; down {
			add(Down)
		} else {
			add(Up)
		}
	}
	if f.f.PeerDead() && !m.peer {
		m.peer = true
		add(Peer)
	}
	if f.f.PeerClosed() && !m.dealloc {
		m.dealloc = true
		add(Dealloc)
	}
	if f.f.Unread() {
		add(Packet)
	}
	return evs
}

// Close empties the set and ends a Wait. The flows stay open. Idempotent.
func (s *FlowSet) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	members := s.members
	s.members = nil
	s.mu.Unlock()
	s.set.Wake()
	s.wait.Lock() // until the Wait under way has left
	defer s.wait.Unlock()
	for f := range members {
		f.f.Unwatch(s.set)
	}
	s.stack.forget(s)
	return s.set.Close()
}
