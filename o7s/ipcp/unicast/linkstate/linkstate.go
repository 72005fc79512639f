// SPDX-License-Identifier: BSD-3-Clause

// Package linkstate is the link-state routing of a unicast layer (spec 20 §8)
// as a state machine: inputs are the time and an event, outputs are packets
// for management connections, routes, and the next deadline. It has no clock,
// no goroutine and no lock; its driver does.
//
// Start with New. After every call the driver calls Drain, and Tick at the
// time that Deadline says.
package linkstate

import (
	"math"
	"time"
)

// never is the deadline of what is not due at all.
const never = time.Duration(math.MaxInt64)

const (
	// recalc is the least distance of two computations of routes: enough for
	// the links of a node that comes or goes to arrive together.
	recalc = 100 * time.Millisecond
	// recalcVisit is what the distance grows by for each arc that a
	// computation looks at. That takes some 10 ns, so the share of a CPU is
	// small in any layer.
	recalcVisit = time.Microsecond
	// maxEntries bounds the database. Own links are always taken.
	maxEntries = 1 << 16
	// answerAgain is the distance of two answers about one link to somebody who
	// is behind.
	answerAgain = time.Second
)

// State is the routing of one member. Times must come from one monotonic
// clock.
//
// A link to a neighbour is in one of these states:
//
//	       LinkUp                      hold-down over
//	down ──────────▶ held ──────────────────────────▶ announced
//	  ▲               │   (at once if it did not flap)     │
//	  └───────────────┴─────────── LinkDown ───────────────┘
type State struct {
	cfg   Config
	epoch time.Time     // of all durations
	now   time.Duration // of the last call

	db      lsdb
	own     []*own  // links of our own, in the order of their first LinkUp
	peers   []*peer // management connections, oldest first
	repeats []repeat
	update  time.Duration // when own links are announced again
	foreign foreign

	router  router
	compute time.Duration // routes are not computed before
	changed bool          // routes have changed since the last Drain

	stats Stats
	buf   []byte
}

// New returns the state of a member without links and connections.
func New(cfg Config) *State {
	return &State{cfg: cfg.withDefaults(), db: newLSDB(), update: never}
}

// at notes the time of a call.
func (s *State) at(now time.Time) {
	if s.epoch.IsZero() {
		s.epoch = now
	}
	s.now = max(s.now, now.Sub(s.epoch))
}

// AddPeer says that there is a new management connection to a neighbour. p is
// not in use yet.
func (s *State) AddPeer(now time.Time, p Peer, addr uint64, caps Caps) {
	s.at(now)
	s.addPeer(p, addr, caps)
	s.work()
}

// RemovePeer says that a management connection has ended.
func (s *State) RemovePeer(now time.Time, p Peer) {
	s.at(now)
	s.removePeer(p)
	s.work()
}

// LinkUp says that packets can be sent to a neighbour. Repetitions do no harm.
func (s *State) LinkUp(now time.Time, addr uint64) {
	s.at(now)
	s.linkUp(addr)
	s.work()
}

// LinkDown says that packets cannot be sent to a neighbour any more.
// Repetitions do no harm.
func (s *State) LinkDown(now time.Time, addr uint64) {
	s.at(now)
	s.linkDown(addr)
	s.work()
}

// Receive takes a packet that came over a management connection. It keeps
// nothing of it.
func (s *State) Receive(now time.Time, p Peer, pkt []byte) {
	s.at(now)
	s.receive(p, pkt)
	s.work()
}

// Tick does what is due.
func (s *State) Tick(now time.Time) {
	s.at(now)
	s.work()
}

// Deadline returns when Tick is to be called next; zero: not before another
// call.
func (s *State) Deadline() time.Time {
	d := min(s.update, s.db.links.deadline(s.cfg.Timeout), s.db.graves.deadline(s.cfg.memory()))
	if s.db.changed {
		d = min(d, s.compute)
	}
	if len(s.repeats) > 0 {
		d = min(d, s.repeats[0].at)
	}
	for _, o := range s.own {
		d = min(d, o.due)
	}
	for _, p := range s.peers {
		d = min(d, p.deadline())
	}
	if d == never {
		return time.Time{}
	}
	return s.epoch.Add(d)
}

// Drain hands out the packets to be sent, and all routes if they have changed
// since the last time. What the functions get is valid during the call only;
// they must not call s.
func (s *State) Drain(send func(p Peer, pkt []byte), routes func([]Route)) {
	for _, p := range s.peers {
		s.flush(p, send)
	}
	if s.changed {
		s.changed = false
		routes(s.router.now.routes)
	}
}

// Knows reports whether the address occurs in the layer.
func (s *State) Knows(addr uint64) bool {
	_, ok := s.db.index[addr]
	return ok
}

// work does all that is due now.
func (s *State) work() {
	for _, o := range s.own {
		if s.now >= o.due {
			s.announce(o)
		}
	}
	if s.now >= s.update {
		s.refresh()
	}
	s.repeat()
	s.ageOut()
	for _, p := range s.peers {
		s.copy(p)
	}
	if s.db.changed && s.now >= s.compute {
		s.recompute()
	}
}

// ageOut drops links that were not announced for too long, and what is known
// of withdrawals that nobody can remember differently.
func (s *State) ageOut() {
	for s.now >= s.db.links.deadline(s.cfg.Timeout) {
		s.db.remove(s.db.links.head)
		s.stats.AgedOut++
	}
	for s.now >= s.db.graves.deadline(s.cfg.memory()) {
		e := s.db.graves.head
		if e.src == s.cfg.Self {
			s.forget(e.dst)
		}
		s.db.remove(e)
	}
}

func (s *State) recompute() {
	changed, visits := s.router.compute(&s.db.graph, s.cfg.Self, s.cfg.Policy)
	s.changed = s.changed || changed
	s.db.changed = false
	s.compute = s.now + max(min(recalc, s.cfg.Recalc), time.Duration(visits)*recalcVisit)
	s.stats.Recomputations++
}
