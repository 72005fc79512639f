// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"slices"
	"time"
)

// contact is a member that the routing table knows.
//
// A contact in a bucket has answered a request of ours, at that address, with
// that id. A spare may only have been heard of: it waits for a place.
//
//	         heard of          answered, and there is a place
//	(nobody) ────────▶ spare ────────────────────────────────▶ in bucket
//	   ▲▲                │                                         │
//	   │└────────────────┘ pushed out by newer ones, silent twice  │
//	   └───────────────────────────────────────────────────────────┘
//	           silent three times, or twice and a spare answered
type contact struct {
	id     string
	addr   uint64
	msg    contactMsg // the same for messages
	spare  bool
	fresh  bool          // has yet to be given what it should hold
	heard  time.Duration // last answer; of a spare 0 if there was none
	failed int           // requests since then that were not answered in time
	silent time.Duration // when failed was counted last
	check  timer         // next request to see whether it is alive
}

// bucket has the contacts whose ids have the same number of bits in common
// with the own one.
type bucket struct {
	contacts []*contact    // longest silent first
	spares   []*contact    // newest last
	looked   time.Duration // last look-up for an id of this bucket
}

// table is the routing table: buckets by the number of bits that ids have in
// common with the own one. That is the tree of Kademlia, whose buckets are split
// only on the own side.
type table struct {
	self    string
	k       int
	buckets []bucket // up to the deepest that ever had a contact
	addrs   map[uint64]*contact
	size    int // contacts in buckets
}

func newTable(self string, k int) table {
	return table{self: self, k: k, addrs: make(map[uint64]*contact)}
}

// bucket returns the bucket of an id, which is not the own one.
func (t *table) bucket(id string) *bucket {
	i := sharedBits(t.self, id)
	for len(t.buckets) <= i {
		t.buckets = append(t.buckets, bucket{})
	}
	return &t.buckets[i]
}

// byID returns the contact with that id.
func (t *table) byID(id string) *contact {
	i := sharedBits(t.self, id)
	if i >= len(t.buckets) {
		return nil
	}
	same := func(c *contact) bool { return c.id == id }
	b := &t.buckets[i]
	if j := slices.IndexFunc(b.contacts, same); j >= 0 {
		return b.contacts[j]
	}
	if j := slices.IndexFunc(b.spares, same); j >= 0 {
		return b.spares[j]
	}
	return nil
}

// gone reports whether a contact has failed so often that another one may take its
// place. Once is what happens on a lossy network.
func (c *contact) gone() bool { return c.failed > 1 }

// silent returns the contact of a bucket that has failed most, nil if none is
// gone.
func (b *bucket) silent() *contact {
	var worst *contact
	for _, c := range b.contacts {
		if c.gone() && (worst == nil || c.failed > worst.failed) {
			worst = c
		}
	}
	return worst
}

// insert puts a contact that answered into its bucket, where c is not yet. If
// there is no room it becomes a spare. It returns the contact that lost its
// place to c or, among the spares, to another one.
func (t *table) insert(c *contact) (placed bool, out *contact) {
	t.addrs[c.addr] = c
	b := t.bucket(c.id)
	if len(b.contacts) >= t.k {
		worst := b.silent()
		if worst == nil {
			return false, t.addSpare(c)
		}
		t.remove(worst)
		out = worst
	}
	c.spare = false
	b.contacts = append(b.contacts, c)
	t.size++
	return true, out
}

// addSpare makes a contact, which is in no list, a spare. It returns the spare that
// this pushed out: the oldest, but hearsay pushes nobody out who answered.
func (t *table) addSpare(c *contact) (out *contact) {
	t.addrs[c.addr] = c
	b := t.bucket(c.id)
	if len(b.spares) >= t.k {
		out = b.spares[0]
		if i := slices.IndexFunc(b.spares, func(o *contact) bool { return o.heard == 0 }); i >= 0 {
			out = b.spares[i]
		} else if c.heard == 0 {
			delete(t.addrs, c.addr)
			return c
		}
		t.remove(out)
	}
	c.spare = true
	b.spares = append(b.spares, c)
	return out
}

// remove takes a contact out of its list.
func (t *table) remove(c *contact) {
	if t.addrs[c.addr] == c {
		delete(t.addrs, c.addr)
	}
	b := t.bucket(c.id)
	list := &b.contacts
	if c.spare {
		list = &b.spares
	}
	if i := slices.Index(*list, c); i >= 0 {
		*list = slices.Delete(*list, i, i+1)
		if !c.spare {
			t.size--
		}
	}
}

// answered notes that a contact in a bucket or a spare is alive.
func (t *table) answered(c *contact, now time.Duration) {
	c.heard, c.failed = now, 0
	b := t.bucket(c.id)
	list := b.contacts
	if c.spare {
		list = b.spares
	}
	if i := slices.Index(list, c); i >= 0 { // to the end
		copy(list[i:], list[i+1:])
		list[len(list)-1] = c
	}
}

// closest appends to out the n contacts next to a key that are ok, sorted by distance;
// out must be empty.
func (t *table) closest(key string, n int, ok func(*contact) bool, out []*contact) []*contact {
	add := func(b *bucket) {
		for _, c := range b.contacts {
			if !ok(c) || len(out) == n && !nearer(key, c.id, out[n-1].id) {
				continue
			}
			if len(out) < n {
				out = append(out, c)
			}
			i := len(out) - 1
			for ; i > 0 && nearer(key, c.id, out[i-1].id); i-- {
				out[i] = out[i-1]
			}
			out[i] = c
		}
	}
	// The contacts of the key's own bucket are nearer than all others; then come
	// those of deeper buckets, which differ from the key where self does; then
	// the shallower ones, each farther than the one before.
	at := sharedBits(t.self, key)
	if at < len(t.buckets) {
		add(&t.buckets[at])
	}
	if len(out) < n {
		for i := at + 1; i < len(t.buckets); i++ {
			add(&t.buckets[i])
		}
	}
	for i := min(at, len(t.buckets)) - 1; i >= 0 && len(out) < n; i-- {
		add(&t.buckets[i])
	}
	return out
}

// rank returns how many contacts that are ok are nearer to a key than an id; it
// stops counting at most.
func (t *table) rank(key, id string, most int, ok func(*contact) bool) int {
	n := 0
	for i := range t.buckets {
		for _, c := range t.buckets[i].contacts {
			if nearer(key, c.id, id) && ok(c) {
				if n++; n >= most {
					return n
				}
			}
		}
	}
	return n
}

// each calls f for all contacts and spares.
func (t *table) each(f func(*contact)) {
	for i := range t.buckets {
		for _, c := range t.buckets[i].contacts {
			f(c)
		}
		for _, c := range t.buckets[i].spares {
			f(c)
		}
	}
}

// known returns how many contacts and spares there are.
func (t *table) known() int { return len(t.addrs) }
