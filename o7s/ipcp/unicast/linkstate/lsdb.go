// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"cmp"
	"slices"
	"time"
)

// entry is the newest record of a link.
type entry struct {
	record
	seen     time.Duration // when a new number came last
	answered time.Duration // when somebody who was behind was told last
	// Of the graph, for a link that is there:
	born     uint64 // order in which pairs of nodes became known
	from, to int32  // vertices of source and destination
	pos      int32  // of the arc in those of from; none: one-way
	// Of the list by age; own links that are there are in none.
	prev, next *entry
	in         *ages
}

// lsdb is all that is known about the links of the layer, and the graph of
// it. All memory grows with the number of entries.
type lsdb struct {
	graph
	entries map[link]*entry
	alive   int  // entries that are not withdrawn
	links   ages // of others, by refresh time
	graves  ages // withdrawn ones, by time of withdrawal
	pairs   uint64
}

func newLSDB() lsdb {
	return lsdb{graph: newGraph(), entries: make(map[link]*entry)}
}

// insert makes an entry for a link that has none. It is withdrawn until
// revive.
func (d *lsdb) insert(l link) *entry {
	e := &entry{record: record{link: l, gone: true}, pos: none, answered: -answerAgain}
	d.entries[l] = e
	return e
}

// revive makes the link of a withdrawn entry known as there.
func (d *lsdb) revive(e *entry) {
	e.gone = false
	d.alive++
	e.from, e.to = d.vertex(e.src), d.vertex(e.dst)
	if back := d.entries[link{dst: e.src, src: e.dst}]; back != nil && !back.gone {
		e.born = back.born
		d.connect(e)
		d.connect(back)
		return
	}
	d.pairs++
	e.born = d.pairs
}

// bury makes the link of an entry known as not there.
func (d *lsdb) bury(e *entry) {
	e.gone = true
	d.alive--
	if e.pos != none {
		d.cut(e)
		d.cut(d.entries[link{dst: e.src, src: e.dst}])
	}
	d.release(e.from)
	d.release(e.to)
}

// remove forgets an entry.
func (d *lsdb) remove(e *entry) {
	if !e.gone {
		d.bury(e)
	}
	e.in.take(e)
	delete(d.entries, e.link)
}

// sorted returns the links that are there, by destination, then source.
func (d *lsdb) sorted() []link {
	all := make([]link, 0, d.alive)
	for l, e := range d.entries {
		if !e.gone {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b link) int {
		return cmp.Or(cmp.Compare(a.dst, b.dst), cmp.Compare(a.src, b.src))
	})
	return all
}

// ages is a list of entries, the one that was touched longest ago first.
type ages struct{ head, tail *entry }

// touch puts the entry at the end of the list, out of any other.
func (a *ages) touch(e *entry, now time.Duration) {
	e.in.take(e)
	e.seen = now
	e.in, e.prev, e.next = a, a.tail, nil
	if a.tail != nil {
		a.tail.next = e
	} else {
		a.head = e
	}
	a.tail = e
}

// take removes an entry. A nil list has none.
func (a *ages) take(e *entry) {
	if a == nil {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		a.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		a.tail = e.prev
	}
	e.in, e.prev, e.next = nil, nil, nil
}

// deadline returns when the oldest entry is older than age.
func (a *ages) deadline(age time.Duration) time.Duration {
	if a.head == nil {
		return never
	}
	return a.head.seen + age + 1
}
