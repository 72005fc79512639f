// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"cmp"
	"math/bits"
	"slices"
)

// Route is a destination and the neighbours that are next hops to it, the
// preferred one first, each once.
type Route struct {
	Dst  uint64
	Next []uint64
}

// router computes routes (spec 20 §8.6). Its memory is used again by the next
// computation.
type router struct {
	tree, other tree
	hop         []int32 // by vertex: the first on the way, of equal ones by lowest address
	neighbours  []arc   // of self, the pair that became known last first
	mask        []uint64
	now, before table
}

// table is routes and the memory of their next hops.
type table struct {
	routes []Route
	hops   []uint64
}

// compute makes the routes from self. It returns whether they differ from those
// of the last time, and how many arcs it has seen.
func (r *router) compute(g *graph, self uint64, p Policy) (changed bool, visits int) {
	r.now, r.before = r.before, r.now
	r.now.routes, r.now.hops = r.now.routes[:0], r.now.hops[:0]
	if from, ok := g.index[self]; ok && len(g.vertices[from].arcs) > 0 {
		visits = r.routes(g, from, p)
	}
	return !r.now.equal(&r.before), visits
}

func (t *table) equal(o *table) bool {
	return slices.EqualFunc(t.routes, o.routes, func(a, b Route) bool {
		return a.Dst == b.Dst && slices.Equal(a.Next, b.Next)
	})
}

func (r *router) routes(g *graph, from int32, p Policy) (visits int) {
	r.tree.walk(g, from)
	visits = g.arcs
	r.hop = resize(r.hop, len(g.vertices))
	for _, v := range r.tree.queue[1:] {
		if u := r.tree.parent[v]; u == from {
			r.hop[v] = v
		} else {
			r.hop[v] = r.hop[u]
		}
	}
	words := 0
	if p != Simple {
		words = r.alternates(g, from, p)
		visits += len(r.neighbours) * g.arcs
	}
	// Room for all hops first: the routes point into it.
	n := len(r.tree.queue)
	for _, w := range r.mask[:len(g.vertices)*words] {
		n += bits.OnesCount64(w)
	}
	r.now.hops = slices.Grow(r.now.hops, n)
	for v := range g.vertices {
		if r.tree.dist[v] > 0 {
			r.emit(g, int32(v), p, r.mask[v*words:(v+1)*words])
		}
	}
	return visits
}

// emit adds the route to a vertex; mask has its other next hops.
func (r *router) emit(g *graph, v int32, p Policy, mask []uint64) {
	first := g.vertices[r.hop[v]].addr
	at := len(r.now.hops)
	if p != ECMP { // it has no preferred one
		r.now.hops = append(r.now.hops, first)
	}
	for i, w := range mask {
		for ; w != 0; w &= w - 1 {
			n := g.vertices[r.neighbours[i*64+bits.TrailingZeros64(w)].to].addr
			if p == ECMP || n != first {
				r.now.hops = append(r.now.hops, n)
			}
		}
	}
	r.now.routes = append(r.now.routes, Route{g.vertices[v].addr, r.now.hops[at:len(r.now.hops):len(r.now.hops)]})
}

// alternates notes in mask, for each vertex, which neighbours are next hops to
// it beside the first one. It returns the number of words for each vertex.
func (r *router) alternates(g *graph, from int32, p Policy) (words int) {
	r.neighbours = append(r.neighbours[:0], g.vertices[from].arcs...)
	slices.SortFunc(r.neighbours, func(a, b arc) int { return cmp.Compare(b.e.born, a.e.born) })
	words = (len(r.neighbours) + 63) / 64
	r.mask = resize(r.mask, len(g.vertices)*words)
	clear(r.mask)
	for i, n := range r.neighbours {
		r.other.walk(g, n.to)
		for _, v := range r.tree.queue[1:] {
			here, there := r.tree.dist[v], r.other.dist[v]
			// Loop-free: the neighbour does not come back to us, since
			// dist(n, v) < dist(n, self) + dist(self, v).
			if p == ECMP && there+1 == here || p == LFA && there <= here {
				r.mask[int(v)*words+i/64] |= 1 << (i % 64)
			}
		}
	}
	clear(r.neighbours[len(r.neighbours):cap(r.neighbours)]) // keep no entry alive
	return words
}
