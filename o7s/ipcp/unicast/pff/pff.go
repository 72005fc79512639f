// SPDX-License-Identifier: BSD-3-Clause

// Package pff is the forwarding table of a unicast layer (spec 20 §9): it
// tells the next hop of a destination by one of three policies. Look-ups take
// no lock and allocate nothing; every change replaces the table.
//
// Start with New and Set.
package pff

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Policy says which of the next hops of a destination is taken.
type Policy uint8

const (
	// Simple takes the first hop, and none while it is down.
	Simple Policy = iota
	// Alternate takes the first hop that is not down.
	Alternate
	// Multipath spreads flows over the hops that are not down. All packets
	// of a flow take the same one.
	Multipath
)

// Route is a destination and its next hops, the preferred one first.
type Route[H comparable] struct {
	Dst  uint64
	Hops []H
}

// Table maps destinations to next hops of type H. All methods may be called
// at the same time.
type Table[H comparable] struct {
	policy Policy
	fib    atomic.Pointer[fib[H]]

	mu     sync.Mutex // guards what follows, held by writers only
	routes []Route[H] // by destination, each once
	down   map[H]struct{}
	salts  map[H]uint64 // Multipath: distinguishes the hops
	salt   uint64       // the last one given
}

// New returns an empty table.
func New[H comparable](p Policy) *Table[H] {
	t := &Table[H]{policy: p, down: map[H]struct{}{}, salts: map[H]uint64{}}
	t.fib.Store(build[H](0, nil))
	return t
}

// Lookup returns the next hop for a packet to dst. flow identifies the flow
// among those to dst, e.g. by its endpoint id. ok is false if there is no hop
// that is up.
func (t *Table[H]) Lookup(dst, flow uint64) (h H, ok bool) {
	return t.fib.Load().lookup(dst, flow)
}

// Set replaces all routes. It keeps nothing of the argument. Which hops are
// down remains known. Of several routes to a destination the first counts.
func (t *Table[H]) Set(routes []Route[H]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, r := range routes {
		n += len(r.Hops)
	}
	hops := make([]H, 0, n)
	t.routes = make([]Route[H], 0, len(routes))
	for _, r := range routes {
		from := len(hops)
		hops = append(hops, r.Hops...)
		t.routes = append(t.routes, Route[H]{r.Dst, hops[from:len(hops):len(hops)]})
	}
	byDst := func(a, b Route[H]) int { return cmp.Compare(a.Dst, b.Dst) }
	slices.SortStableFunc(t.routes, byDst)
	t.routes = slices.CompactFunc(t.routes, func(a, b Route[H]) bool { return a.Dst == b.Dst })
	t.rebuildLocked()
}

// SetDown says that a hop is not usable now, or usable again, whether routes
// mention it or not. When it returns, look-ups see it.
func (t *Table[H]) SetDown(h H, down bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, was := t.down[h]; was == down {
		return
	}
	if down {
		t.down[h] = struct{}{}
	} else {
		delete(t.down, h)
	}
	t.rebuildLocked()
}

// Remove takes a hop out of all routes and forgets whether it was down.
func (t *Table[H]) Remove(h H) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.down, h)
	for i := range t.routes {
		r := &t.routes[i]
		r.Hops = slices.DeleteFunc(r.Hops, func(x H) bool { return x == h })
	}
	t.rebuildLocked()
}

// Len returns the number of destinations that can be reached now.
func (t *Table[H]) Len() int { return t.fib.Load().used }

// All returns the destinations that can be reached now, by address, and the
// hops in use for each: one, but with Multipath all that are up.
func (t *Table[H]) All() []Route[H] {
	f := t.fib.Load()
	all := make([]Route[H], 0, f.used)
	for i := range f.slots {
		s := &f.slots[i]
		if s.count == 0 {
			continue
		}
		r := Route[H]{Dst: s.dst, Hops: []H{s.hop}}
		if s.count > 1 {
			r.Hops = make([]H, 0, s.count)
			for _, c := range f.choices[s.from : s.from+s.count] {
				r.Hops = append(r.Hops, c.hop)
			}
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Route[H]) int { return cmp.Compare(a.Dst, b.Dst) })
	return all
}

// rebuildLocked makes the table of look-ups from routes and down. t.mu is
// held.
func (t *Table[H]) rebuildLocked() {
	t.resaltLocked()
	var usable []choice[H]
	t.fib.Store(build(len(t.routes), func(add func(uint64, []choice[H])) {
		for _, r := range t.routes {
			usable = usable[:0]
			for _, h := range r.Hops {
				if _, down := t.down[h]; !down && !slices.ContainsFunc(usable, func(c choice[H]) bool { return c.hop == h }) {
					usable = append(usable, choice[H]{h, t.salts[h]})
				}
				// Simple has no second choice, the others have one.
				if t.policy == Simple || t.policy == Alternate && len(usable) == 1 {
					break
				}
			}
			if len(usable) > 0 {
				add(r.Dst, usable)
			}
		}
	}))
}

// resaltLocked gives each hop a number of its own for as long as routes
// mention it, so that the choice of a flow depends on nothing but the hops.
func (t *Table[H]) resaltLocked() {
	if t.policy != Multipath {
		return
	}
	old := t.salts
	t.salts = make(map[H]uint64, len(old))
	for _, r := range t.routes {
		for _, h := range r.Hops {
			if _, has := t.salts[h]; has {
				continue
			}
			s, had := old[h]
			if !had {
				t.salt++
				s = mix(t.salt, 0)
			}
			t.salts[h] = s
		}
	}
}
