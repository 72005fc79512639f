// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"slices"
	"time"
)

// Peer is a management connection. Its number is the driver's choice.
type Peer int

// Caps are the extensions that the neighbour of a management connection
// announced (docs/extensions.md §6); all false for a prototype.
type Caps struct {
	Batch    bool // several announcements in one packet
	Withdraw bool // withdrawals
}

const (
	// batch is the most announcements in one packet: 1152 bytes pass
	// everywhere.
	batch = 48
	// lazy is how long an announcement that brings nothing new but its number
	// waits for others, if it may share a packet with them.
	lazy = 100 * time.Millisecond

	// copyDelay is how long a prototype needs to attach a new connection
	// before it can take several packets (spec 20 LS-18).
	copyDelay = 100 * time.Millisecond
	// The copy of the database goes in parts, so that no queue overflows:
	// every copyPause this many announcements, to a prototype fewer since
	// each is a packet and costs it three computations.
	copyPause, copyPart           = 10 * time.Millisecond, 16 * batch
	copyPauseProto, copyPartProto = 50 * time.Millisecond, 64
	// Parts get lost: the copy is sent once more after this time.
	copyAgain = time.Second
	copies    = 2

	// quiet is how long nothing is sent to a prototype. A keepalive, which
	// the flow sends after 30 s, would stop its reader (spec 20 LS-5).
	quiet = 15 * time.Second

	// A peer may send the whole database twice at once, and announce each
	// link twice as often as is usual.
	rateBurst = 2 * maxEntries
	rate      = 2 * maxEntries / float64(DefaultUpdate/time.Second) // per second
)

// filler is a packet that every prototype ignores (spec 60, case 10c).
var filler = make([]byte, lsaSize+1)

// peer is a management connection.
type peer struct {
	id   Peer
	addr uint64
	caps Caps

	out  []record      // to be sent
	due  time.Duration // when; never if there is nothing
	sent time.Duration // when something was sent last

	attached bool          // it may be sent to
	copyAt   time.Duration // when the next part of the copy goes
	copies   int           // to come, with the one that has begun
	rest     []link        // of the copy that has begun

	tokens float64 // records that it may send at tokensAt
	refill time.Duration
}

func (p *peer) prototype() bool { return p.caps == Caps{} }

func (p *peer) deadline() time.Duration {
	d := min(p.due, p.copyAt)
	if p.prototype() {
		d = min(d, p.sent+quiet)
	}
	return d
}

func (s *State) addPeer(id Peer, addr uint64, caps Caps) {
	s.removePeer(id)
	p := &peer{
		id: id, addr: addr, caps: caps, due: never, sent: s.now, copyAt: s.now, copies: copies,
		tokens: rateBurst, refill: s.now,
	}
	if p.prototype() {
		p.copyAt += copyDelay
	} else {
		p.attached = true
	}
	s.peers = append(s.peers, p)
}

func (s *State) removePeer(id Peer) {
	s.peers = slices.DeleteFunc(s.peers, func(p *peer) bool { return p.id == id })
}

func (s *State) peer(id Peer) *peer {
	for _, p := range s.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// tell queues a record for a peer that can be told. What is not urgent may
// wait for company.
func (s *State) tell(p *peer, r record, urgent bool) {
	switch {
	case r.gone && !p.caps.Withdraw:
		return
	case !p.attached: // the copy will contain it
		return
	}
	p.out = append(p.out, r)
	if urgent || !p.caps.Batch {
		p.due = s.now
	} else {
		p.due = min(p.due, s.now+lazy)
	}
}

// flood tells all peers but the one that a record came from. A prototype is
// not told of its own links: it would keep alive those that it no longer has
// (spec 20 LS-6).
func (s *State) flood(r record, from *peer, urgent bool) {
	for _, p := range s.peers {
		if p != from && !(p.prototype() && p.addr == r.src) {
			s.tell(p, r, urgent)
		}
	}
}

// copy sends the next part of the copy of the database, if it is time.
func (s *State) copy(p *peer) {
	if s.now < p.copyAt {
		return
	}
	if p.rest == nil {
		p.attached = true
		p.rest = s.db.sorted()
	}
	part, pause := copyPart, copyPause
	if p.prototype() {
		part, pause = copyPartProto, copyPauseProto
	}
	for _, l := range p.rest[:min(part, len(p.rest))] {
		e := s.db.entries[l]
		if e == nil || e.gone || p.prototype() && p.addr == l.src {
			continue
		}
		s.tell(p, e.record, true)
	}
	p.rest = p.rest[min(part, len(p.rest)):]
	p.copyAt = s.now + pause
	if len(p.rest) > 0 {
		return
	}
	p.rest = nil
	p.copyAt = never
	if p.copies--; p.copies > 0 {
		p.copyAt = s.now + copyAgain
	}
}

// flush sends what is due to a peer.
func (s *State) flush(p *peer, send func(p Peer, pkt []byte)) {
	if s.now < p.due {
		if p.prototype() && s.now >= p.sent+quiet {
			p.sent = s.now
			send(p.id, filler)
		}
		return
	}
	limit := lsaSize
	if p.caps.Batch {
		limit *= batch
	}
	b := s.buf[:0]
	for _, r := range p.out {
		if len(b) > 0 && (r.gone || len(b) == limit) {
			send(p.id, b)
			b = b[:0]
		}
		if r.gone {
			send(p.id, r.appendWithdrawal(b))
			continue
		}
		b = r.appendLSA(b)
	}
	if len(b) > 0 {
		send(p.id, b)
	}
	s.buf = b[:0]
	s.stats.Sent += uint64(len(p.out))
	p.out = p.out[:0]
	p.due, p.sent = never, s.now
}

// allow says whether a peer may send n more records now.
func (s *State) allow(p *peer, n int) bool {
	p.tokens = min(rateBurst, p.tokens+rate*(s.now-p.refill).Seconds())
	p.refill = s.now
	if p.tokens < float64(n) {
		return false
	}
	p.tokens -= float64(n)
	return true
}
