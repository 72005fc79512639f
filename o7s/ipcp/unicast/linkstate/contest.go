// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import "time"

// suspect is how often somebody else must have spoken in our name, in
// different halves of an update interval, to be taken for another member with
// our address. What is left from an earlier life with this address is told
// once, by several neighbours.
const suspect = 3

// foreign counts how often somebody else spoke in our name.
type foreign struct {
	count int
	last  time.Duration
}

// Collision reports whether another member seems to have the own address: it
// announces links in our name again and again. It is false again when that
// has stopped for as long as links live.
func (s *State) Collision() bool {
	return s.foreign.count >= suspect && s.now-s.foreign.last <= s.cfg.Timeout
}

// contest handles a record about a link of our own with a number that we did
// not give. Nobody else may say what links we have, so it is not installed.
// A link that we have is announced above that number, one that we have not is
// withdrawn, so that others do not keep it (spec 20 §8.8, LS-6, LS-8).
func (s *State) contest(e *entry, r record) {
	s.stats.Foreign++
	s.suspicion()
	o := s.find(r.dst)
	if o != nil {
		o.seqno = max(o.seqno, r.seqno+1)
	}
	if e != nil && !e.gone {
		// Both members with an address would go on for ever at full
		// speed; and nothing is gained by it when it is known.
		if !s.Collision() {
			o.due = min(o.due, max(s.now, o.said+answerAgain))
		}
		return
	}
	if e == nil {
		e = s.db.insert(r.link)
	}
	e.seqno = r.seqno
	s.db.graves.touch(e, s.now)
	if r.gone || r.seqno == maxSeqno || s.Collision() || s.now-e.answered < answerAgain {
		return
	}
	e.answered = s.now
	if o != nil {
		o.seqno++
	}
	s.set(e, record{r.link, r.seqno + 1, true})
	s.flood(e.record, nil, true)
}

func (s *State) suspicion() {
	f := &s.foreign
	switch {
	case f.count == 0 || s.now-f.last > s.cfg.Timeout:
		f.count = 1
	case s.now-f.last < s.cfg.refresh()/2:
		return
	default:
		f.count++
	}
	f.last = s.now
}
