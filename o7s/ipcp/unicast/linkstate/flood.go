// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import "time"

// Packets get lost, and a withdrawal is not refreshed as an announcement is:
// every member that hears it says it again so many times at this distance.
const (
	repeatAfter = time.Second
	repeats     = 2
)

// repeat is a withdrawal that is to be sent again.
type repeat struct {
	record
	at   time.Duration
	left int
}

// receive takes a packet apart.
func (s *State) receive(id Peer, pkt []byte) {
	p := s.peer(id)
	if p == nil {
		s.stats.Rejected++
		return
	}
	if r, n, err := parseWithdrawal(pkt); p.caps.Withdraw && n > 0 && err == nil {
		s.take(p, r)
		return
	}
	if len(pkt) == 0 || len(pkt)%lsaSize != 0 || len(pkt) > lsaSize && !p.caps.Batch {
		s.stats.Rejected++
		return
	}
	for len(pkt) > 0 {
		if r, _, err := parseLSA(pkt); err == nil {
			s.take(p, r)
		} else {
			s.stats.Rejected++
		}
		pkt = pkt[lsaSize:]
	}
}

// take handles a record from a peer (spec 20 §8.4).
func (s *State) take(p *peer, r record) {
	s.stats.Received++
	if !s.allow(p, 1) {
		s.stats.Limited++
		return
	}
	e := s.db.entries[r.link]
	switch {
	case e == nil && len(s.db.entries) >= maxEntries:
		s.stats.Full++
	case e != nil && !r.newer(e.record):
		s.answer(p, e, r)
	case r.src == s.cfg.Self:
		s.contest(e, r)
	default:
		if e == nil {
			e = s.db.insert(r.link)
		}
		news := r.gone || e.gone
		s.set(e, r)
		s.flood(r, p, news)
	}
}

// set gives an entry a newer record.
func (s *State) set(e *entry, r record) {
	switch {
	case e.gone && !r.gone:
		s.db.revive(e)
	case r.gone && !e.gone:
		s.db.bury(e)
	}
	e.record = r
	switch {
	case r.gone:
		s.db.graves.touch(e, s.now)
		s.repeats = append(s.repeats, repeat{r, s.now + repeatAfter, repeats})
	case r.src != s.cfg.Self:
		s.db.links.touch(e, s.now)
	default:
		e.in.take(e)
		e.seen = s.now
	}
}

// answer tells a peer that is behind what is true, if it needs to know: that
// the link is gone or, as the one which announces it, that it must use higher
// numbers to be heard (spec 20 LS-8).
func (s *State) answer(p *peer, e *entry, r record) {
	if r == e.record {
		return
	}
	behind := e.gone != r.gone || p.addr == e.src
	if behind && s.now-e.answered >= answerAgain {
		e.answered = s.now
		s.tell(p, e.record, true)
	}
}

// repeat sends withdrawals again that still hold.
func (s *State) repeat() {
	for len(s.repeats) > 0 && s.now >= s.repeats[0].at {
		again := s.repeats[0]
		s.repeats = s.repeats[1:]
		if e := s.db.entries[again.link]; e == nil || e.record != again.record {
			continue
		}
		s.flood(again.record, nil, true)
		if again.left--; again.left > 0 {
			again.at = s.now + repeatAfter
			s.repeats = append(s.repeats, again)
		}
	}
}
