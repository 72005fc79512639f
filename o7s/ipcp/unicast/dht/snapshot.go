// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"slices"
	"time"
)

// Counters are what a directory has done since New.
type Counters struct {
	Sent, Received [5]uint64 // messages by code (spec 20 §10.3)
	Malformed      uint64    // messages that do not parse
	Rejected       uint64    // messages with ids, addresses, keys or values that cannot be
	Unexpected     uint64    // responses to nothing that was asked, or again
	TimedOut       uint64    // requests that were not answered in time
	Refused        uint64    // requests that were too many
	Evicted        uint64    // contacts that were silent
	StoresRefused  uint64    // values for which there was no room
	Lookups        uint64    // of names
	LookupsFailed  uint64    // without an answer
}

// Contact is a member that the directory knows.
type Contact struct {
	ID     []byte
	Addr   uint64
	Spare  bool      // in no bucket: it waits for a place
	Heard  time.Time // last answer; zero: none yet
	Failed int       // requests since then that were not answered
}

// Value is the address of a member that serves a name.
type Value struct {
	Addr       uint64
	Own        bool      // registered here
	Replicated time.Time // last STORE, received or sent; zero: none yet
	Expires    time.Time // at the holders; of an own value zero if it was not sent yet
}

// Key is a name that has values here.
type Key struct {
	Key    []byte
	Values []Value // own first, then as they are found
}

// Snapshot is what the directory dht of the RIB shows (spec 20 §11, spec 40 §7.6).
// It shares no memory with the state machine.
type Snapshot struct {
	Created     time.Time
	Self        uint64
	ID          []byte
	Config      Config
	Keys        []Key     // sorted
	Contacts    []Contact // nearest last
	Outstanding int       // requests that wait for an answer
	Lookups     int       // under way, also those for places
	Waiting     int       // publications that have yet to begin
	Missed      int       // evicted contacts that are asked now and then
	Counters    Counters
}

// Snapshot copies the state.
func (d *DHT) Snapshot(now time.Time) Snapshot {
	d.at(now)
	s := Snapshot{
		Created: d.created, Self: d.cfg.Self, ID: slices.Clone(d.cfg.ID), Config: d.cfg,
		Lookups: len(d.active), Waiting: len(d.work), Missed: len(d.missed), Counters: d.stats,
	}
	for _, r := range d.requests {
		if !r.late {
			s.Outstanding++
		}
	}
	wall := func(t time.Duration) time.Time { return now.Add(t - d.now).Round(0) }
	d.table.each(func(c *contact) {
		x := Contact{ID: []byte(c.id), Addr: c.addr, Spare: c.spare, Failed: c.failed}
		if c.heard > 0 {
			x.Heard = wall(c.heard)
		}
		s.Contacts = append(s.Contacts, x)
	})
	for key, o := range d.own {
		v := Value{Addr: d.cfg.Self, Own: true}
		if o.stored > 0 {
			v.Replicated, v.Expires = wall(o.stored), wall(o.stored+d.cfg.Expire)
		}
		k := Key{[]byte(key), []Value{v}}
		if h := d.held[key]; h != nil {
			k.Values = h.appendValues(k.Values, wall)
		}
		s.Keys = append(s.Keys, k)
	}
	for _, h := range d.keys {
		if d.own[h.key] == nil {
			s.Keys = append(s.Keys, Key{[]byte(h.key), h.appendValues(nil, wall)})
		}
	}
	slices.SortFunc(s.Keys, func(a, b Key) int { return slices.Compare(a.Key, b.Key) })
	return s
}

func (h *heldKey) appendValues(list []Value, wall func(time.Duration) time.Time) []Value {
	for _, v := range h.values {
		list = append(list, Value{
			Addr: v.addr, Replicated: wall(v.stored), Expires: time.Unix(int64(v.expiry), 0),
		})
	}
	return list
}

// counts returns how many are registered here, and how many are held for others.
func (s Snapshot) counts() (local, nonLocal int) {
	for _, k := range s.Keys {
		for _, v := range k.Values {
			if v.Own {
				local++
			} else {
				nonLocal++
			}
		}
	}
	return local, nonLocal
}
