// SPDX-License-Identifier: BSD-3-Clause

// Package dht implements the directory of a unicast layer (spec 20 §10): a
// Kademlia that maps hashes of service names to data-transfer addresses, on the
// messages of the prototype. It is a pure state machine: whoever drives it
// gives it the time, the messages that arrive and the events, and collects
// what is to be sent.
//
// Start with New, then Join. After each call Drain takes out what came of it, and
// Deadline says when Tick is due. No method may be called while another one
// runs, but for those called from Drain's functions.
package dht

import (
	"io"
	"time"

	"o7gw/o7s/layer"
)

// Config is what a directory needs to know.
type Config struct {
	Self uint64 // own data-transfer address, not 0
	ID   []byte // own node id: random, as long as the hashes of the layer (8 to 64 bytes)

	Alpha     int           // requests at the same time of one look-up; 0: 3
	K         int           // nodes that hold a value, contacts of a bucket; 0: 8
	Expire    time.Duration // life of a value without its owner; 0: 86400 s
	Refresh   time.Duration // age at which contacts and buckets are looked at; 0: 900 s
	Replicate time.Duration // interval of republication; 0: 900 s

	Rand io.Reader // seeds the cookies; nil: crypto/rand
}

// DHT is the directory of one member.
type DHT struct{}

// New returns a directory without contacts.
func New(cfg Config, now time.Time) *DHT { return &DHT{} }

// Join asks the member of that address, learnt from enrolment, for contacts,
// until it answers. Peer 0: there is none, others will ask us.
func (d *DHT) Join(now time.Time, peer uint64) {}

// Neighbour tells of a member that routing can reach. It is asked too, in
// measure: many calls are fine. It ends what Unreachable said.
func (d *DHT) Neighbour(now time.Time, addr uint64) {}

// Unreachable tells that routing lost a member: it is not chosen any more, and
// evicted if it does not answer.
func (d *DHT) Unreachable(now time.Time, addr uint64) {}

// Receive takes a message. It keeps nothing of msg.
func (d *DHT) Receive(now time.Time, msg []byte) {}

// Register publishes that this member serves the name with that hash, until
// Unregister.
func (d *DHT) Register(now time.Time, key layer.Hash) {}

// Unregister ends the publication. Those that hold the value cannot be told:
// it expires.
func (d *DHT) Unregister(now time.Time, key layer.Hash) {}

// Lookup asks who serves a name. The answer comes once, from Drain, with the
// id, which the caller chooses, within 2 s.
func (d *DHT) Lookup(now time.Time, id uint64, key layer.Hash) {}

// Cancel ends the look-up of that id without an answer.
func (d *DHT) Cancel(id uint64) {}

// Forget tells that a value was wrong: the member does not serve the name, or does not
// answer. For a minute look-ups of the key prefer other values.
func (d *DHT) Forget(now time.Time, key layer.Hash, addr uint64) {}

// Tick does what is due.
func (d *DHT) Tick(now time.Time) {}

// Deadline returns when Tick is due next; the zero time: never.
func (d *DHT) Deadline() time.Time { return time.Time{} }

// Drain hands out the messages to be sent and the answers to look-ups since
// the last call. msg is valid during the call. addrs, the most recently stored
// first, never contains the own address; it is empty if nobody has the name, and
// may be kept.
func (d *DHT) Drain(send func(to uint64, msg []byte), found func(id uint64, addrs []uint64)) {}
