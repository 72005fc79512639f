// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"time"

	"o7gw/o7s/rib"
)

// Counters are what a directory has done since New.
type Counters struct {
	Sent, Received [5]uint64 // messages by code (spec 20 §10.3)
	Malformed      uint64    // messages that do not parse
	Rejected       uint64    // messages with ids, addresses or keys that cannot be
	Unexpected     uint64    // responses to nothing that was asked, or again
	TimedOut       uint64    // requests that were not answered in time
	Refused        uint64    // requests that were too many
	Evicted        uint64    // contacts that were silent
	StoresRefused  uint64    // values for which there was no room
	Lookups        uint64    // of names
	LookupsFailed  uint64    // without an answer
}

// Snapshot is what the directory dht of the RIB shows (spec 20 §11, spec 40 §7.6).
// It shares no memory with the state machine.
type Snapshot struct {
	Created time.Time
}

// Snapshot returns the state for the RIB.
func (d *DHT) Snapshot(now time.Time) Snapshot { return Snapshot{} }

// Stats is the entry "stats".
func (s Snapshot) Stats() rib.Entry { return rib.Entry{} }

// Database is the entry "database".
func (s Snapshot) Database() rib.Entry { return rib.Entry{} }
