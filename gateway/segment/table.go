// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// table remembers behind which port each station is. It is a hash table with
// linear probing: looking up, and learning what is known already, takes no
// lock; stations come and go under one. Its size is fixed, at most half of the
// slots are used.
type table struct {
	slots  []atomic.Pointer[entry]
	secret uint64 // nobody shall find colliding addresses
	max    int

	moves   atomic.Uint64 // a station appeared at another port
	refused atomic.Uint64 // stations that were not learnt for want of room

	mu    sync.Mutex // of slots becoming used or free
	count int
}

// entry is one station. The port is nil once the entry is out of the table.
type entry struct {
	station station
	port    atomic.Pointer[port]
	heard   atomic.Int64 // ns
}

// fresh is how precisely the time is kept at which a station was heard: a
// write to memory that all processors read is dear.
const fresh = int64(time.Second)

func newTable(max int) *table {
	n := 64
	for n < 2*max {
		n *= 2
	}
	return &table{slots: make([]atomic.Pointer[entry], n), secret: rand.Uint64(), max: max}
}

func (t *table) home(s station) int { return int(mix(uint64(s)^t.secret) & uint64(len(t.slots)-1)) }

func (t *table) after(i int) int { return (i + 1) & (len(t.slots) - 1) }

// find returns the entry of a station, or nil. While others remove stations it
// may miss one: its frames then go everywhere.
func (t *table) find(s station) *entry {
	i := t.home(s)
	for range len(t.slots) {
		e := t.slots[i].Load()
		if e == nil || e.station == s {
			return e
		}
		i = t.after(i)
	}
	return nil
}

// lookup returns the port behind which the station is, nil if unknown.
func (t *table) lookup(s station) *port {
	if e := t.find(s); e != nil {
		if p := e.port.Load(); p != nil && !p.gone.Load() {
			return p
		}
	}
	return nil
}

// learn notes that the station was heard behind the port at the time now, in
// ns.
func (t *table) learn(s station, p *port, now int64) {
	e := t.find(s)
	if e == nil {
		t.insert(s, p, now)
		return
	}
	old := e.port.Load()
	switch {
	case old == p:
		if now-e.heard.Load() > fresh {
			e.heard.Store(now)
		}
	case old == nil: // just removed; the next frame of the station comes anew
	case !p.room():
		t.refused.Add(1)
	case e.port.CompareAndSwap(old, p):
		old.macs.Add(-1)
		p.macs.Add(1)
		t.moves.Add(1)
		e.heard.Store(now)
	}
}

func (t *table) insert(s station, p *port, now int64) {
	if !p.room() || p.gone.Load() {
		t.refused.Add(1)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.find(s) != nil {
		return // somebody was faster
	}
	if t.count >= t.max && !t.evictLocked(s, p) {
		t.refused.Add(1)
		return
	}
	e := &entry{station: s}
	e.port.Store(p)
	e.heard.Store(now)
	i := t.home(s)
	for t.slots[i].Load() != nil {
		i = t.after(i)
	}
	t.slots[i].Store(e)
	t.count++
	p.macs.Add(1)
}

// sample is how many entries are looked at for one to evict.
const sample = 64

// evictLocked makes room for a station behind p in a full table, at the
// cost of a port that has more stations than p, so that all get a fair share.
// It looks at some entries only. t.mu is held.
func (t *table) evictLocked(s station, p *port) bool {
	victim, most := -1, p.macs.Load()
	for i, seen := t.home(s), 0; seen < sample && seen < t.count; i = t.after(i) {
		e := t.slots[i].Load()
		if e == nil {
			continue
		}
		seen++
		if n := e.port.Load().macs.Load(); n > most {
			victim, most = i, n
		}
	}
	if victim < 0 {
		return false
	}
	t.removeLocked(victim)
	return true
}

// removeLocked frees a slot, and moves entries behind it so that all are found
// from their homes. t.mu is held.
func (t *table) removeLocked(i int) {
	e := t.slots[i].Load()
	e.port.Swap(nil).macs.Add(-1)
	t.count--
	for j := t.after(i); ; j = t.after(j) {
		e := t.slots[j].Load()
		if e == nil {
			break
		}
		// Does its home lie behind the hole, up to where it is?
		h := t.home(e.station)
		if i <= j && i < h && h <= j || i > j && (i < h || h <= j) {
			continue
		}
		t.slots[i].Store(e)
		i = j
	}
	t.slots[i].Store(nil)
}

// remove removes the entries for which drop is true.
func (t *table) remove(drop func(*entry) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.slots {
		// Another entry may have moved here.
		for e := t.slots[i].Load(); e != nil && drop(e); e = t.slots[i].Load() {
			t.removeLocked(i)
		}
	}
}

// age removes the stations that were not heard since the time, in ns.
func (t *table) age(since int64) {
	t.remove(func(e *entry) bool { return e.heard.Load() < since })
}

// forget removes the stations behind a port.
func (t *table) forget(p *port) {
	t.remove(func(e *entry) bool { return e.port.Load() == p })
}

// each calls f for the stations until it returns false.
func (t *table) each(f func(s station, p *port, heard int64) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.slots {
		if e := t.slots[i].Load(); e != nil && !f(e.station, e.port.Load(), e.heard.Load()) {
			return
		}
	}
}

// size returns how many stations are known.
func (t *table) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}
