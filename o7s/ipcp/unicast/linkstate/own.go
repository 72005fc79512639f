// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"slices"
	"time"
)

const (
	// announceAgain is when a new link is announced once more: it moves a
	// prototype on that lags behind (spec 20 LS-18), and repairs loss.
	announceAgain = time.Second
	// A link that was down is announced again only when it has stayed up
	// for holdMin, doubled each time up to holdMax; holdForget after it was
	// down last that is forgotten.
	holdMin    = 100 * time.Millisecond
	holdMax    = 10 * time.Second
	holdForget = time.Minute
)

// own is a link of our own.
type own struct {
	addr    uint64
	up      bool          // as the driver says
	due     time.Duration // when it is to be announced (again); never
	wasDown bool
	downAt  time.Duration // the last time
	hold    time.Duration
	seqno   uint64        // the next number, at least
	said    time.Duration // when a number was given last
}

func (s *State) find(addr uint64) *own {
	for _, o := range s.own {
		if o.addr == addr {
			return o
		}
	}
	return nil
}

func (s *State) linkUp(addr uint64) {
	if addr == 0 || addr == s.cfg.Self {
		return
	}
	o := s.find(addr)
	if o == nil {
		o = &own{addr: addr, due: never}
		if e := s.db.entries[link{dst: addr, src: s.cfg.Self}]; e != nil {
			o.seqno = e.seqno + 1
		}
		s.own = append(s.own, o)
	}
	if o.up {
		return
	}
	o.up = true
	o.due = s.now
	if o.wasDown && s.now-o.downAt < holdForget {
		o.due += o.hold
	}
}

func (s *State) linkDown(addr uint64) {
	o := s.find(addr)
	if o == nil || !o.up {
		return
	}
	if o.wasDown && s.now-o.downAt < holdForget {
		o.hold = min(2*o.hold, holdMax)
	} else {
		o.hold = holdMin
	}
	o.up, o.due = false, never
	o.wasDown, o.downAt = true, s.now
	if e := s.db.entries[link{dst: addr, src: s.cfg.Self}]; e != nil && !e.gone {
		s.say(o, e, true, true)
	}
}

// announce says that a link is there; a new one is soon said again.
func (s *State) announce(o *own) {
	l := link{dst: o.addr, src: s.cfg.Self}
	e := s.db.entries[l]
	fresh := e == nil || e.gone
	if e == nil {
		e = s.db.insert(l)
	}
	o.due = never
	s.say(o, e, false, true)
	if fresh {
		o.due = s.now + announceAgain
	}
	if s.update == never {
		s.update = s.now + s.cfg.refresh()
	}
}

// say gives the entry of a link of our own the next number, and tells all. In
// numbers that go round nobody believes until they have forgotten the old ones;
// only a hostile member brings us there.
func (s *State) say(o *own, e *entry, gone, urgent bool) {
	if o.seqno > maxSeqno {
		o.seqno = 0
	}
	s.set(e, record{e.link, o.seqno, gone})
	o.seqno++
	o.said = s.now
	s.flood(e.record, nil, urgent)
}

// refresh announces all links again.
func (s *State) refresh() {
	s.update = never
	for _, o := range s.own {
		if e := s.db.entries[link{dst: o.addr, src: s.cfg.Self}]; e != nil && !e.gone {
			s.say(o, e, false, false)
			s.update = s.now + s.cfg.refresh()
		}
	}
}

// forget drops what is known about a link that is down.
func (s *State) forget(addr uint64) {
	s.own = slices.DeleteFunc(s.own, func(o *own) bool { return o.addr == addr && !o.up })
}
