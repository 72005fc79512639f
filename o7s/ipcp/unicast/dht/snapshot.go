// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"time"

	"o7gw/o7s/rib"
)

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
