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
	"time"
)

// Policy says which next hops a route has. Numbers are those of the
// enrolment configuration.
type Policy uint8

const (
	Simple Policy = iota // one
	LFA                  // one, then loop-free alternates
	ECMP                 // all on shortest paths
)

// The times of the prototype.
const (
	DefaultRecalc  = 4 * time.Second
	DefaultUpdate  = 15 * time.Second
	DefaultTimeout = 60 * time.Second
)

// Config is what all members of a layer have in common, and the own address.
type Config struct {
	Self    uint64
	Policy  Policy
	Recalc  time.Duration // routes are computed at least this far apart; never more than 100 ms; 0: default
	Update  time.Duration // how often own links are announced again; 0: default
	Timeout time.Duration // links that were not announced for so long are gone; 0: default
}

// Peer is a management connection. Its number is the driver's choice.
type Peer int

// Caps are the extensions that the neighbour of a management connection
// announced (docs/extensions.md §6); all false for a prototype.
type Caps struct {
	Batch    bool // several announcements in one packet
	Withdraw bool // withdrawals
}

// Route is a destination and the neighbours that are next hops to it, the
// preferred one first, each once.
type Route struct {
	Dst  uint64
	Next []uint64
}

// State is the routing of one member. Times must come from one monotonic
// clock.
type State struct {
	cfg Config
}

// New returns the state of a member without links and connections.
func New(cfg Config) *State { return &State{cfg: cfg} }

// AddPeer says that there is a new management connection to a neighbour.
func (s *State) AddPeer(now time.Time, p Peer, addr uint64, caps Caps) {}

// RemovePeer says that a management connection has ended.
func (s *State) RemovePeer(now time.Time, p Peer) {}

// LinkUp says that packets can be sent to a neighbour. Repetitions do no harm.
func (s *State) LinkUp(now time.Time, addr uint64) {}

// LinkDown says that packets cannot be sent to a neighbour any more.
func (s *State) LinkDown(now time.Time, addr uint64) {}

// Receive takes a packet that came over a management connection. It keeps
// nothing of it.
func (s *State) Receive(now time.Time, p Peer, pkt []byte) {}

// Tick does what is due.
func (s *State) Tick(now time.Time) {}

// Deadline returns when Tick is to be called next; zero: not before another
// call.
func (s *State) Deadline() time.Time { return time.Time{} }

// Drain hands out the packets to be sent, and all routes if they have changed
// since the last time. What the functions get is valid during the call only;
// they must not call s.
func (s *State) Drain(send func(p Peer, pkt []byte), routes func([]Route)) {}

// Collision reports whether another member seems to have the own address: it
// announces links in our name again and again.
func (s *State) Collision() bool { return false }

// Knows reports whether the address occurs in the layer.
func (s *State) Knows(addr uint64) bool { return false }
