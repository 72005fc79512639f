// SPDX-License-Identifier: BSD-3-Clause

package linkstate

// none is no vertex, no position.
const none = -1

// graph has a vertex for each address that occurs in a link that is there, and
// arcs for the links that both ends announce: only those are used, in both
// directions (spec 20 §8.6, LS-9).
type graph struct {
	vertices []vertex
	index    map[uint64]int32
	free     []int32 // unused vertices
	changed  bool    // arcs have changed since the last computation
	arcs     int
}

type vertex struct {
	addr uint64
	refs int32 // entries that mention it
	arcs []arc // in no order
}

type arc struct {
	to int32
	e  *entry
}

func newGraph() graph { return graph{index: make(map[uint64]int32)} }

// vertex returns the vertex of an address for one more entry.
func (g *graph) vertex(addr uint64) int32 {
	v, ok := g.index[addr]
	if !ok {
		if n := len(g.free); n > 0 {
			v, g.free = g.free[n-1], g.free[:n-1]
		} else {
			v = int32(len(g.vertices))
			g.vertices = append(g.vertices, vertex{})
		}
		g.vertices[v].addr = addr
		g.index[addr] = v
	}
	g.vertices[v].refs++
	return v
}

// release undoes vertex.
func (g *graph) release(v int32) {
	x := &g.vertices[v]
	if x.refs--; x.refs == 0 {
		delete(g.index, x.addr)
		*x = vertex{}
		g.free = append(g.free, v)
	}
}

// connect adds the arc of an entry.
func (g *graph) connect(e *entry) {
	x := &g.vertices[e.from]
	e.pos = int32(len(x.arcs))
	x.arcs = append(x.arcs, arc{e.to, e})
	g.arcs++
	g.changed = true
}

// cut removes the arc of an entry.
func (g *graph) cut(e *entry) {
	x := &g.vertices[e.from]
	last := len(x.arcs) - 1
	x.arcs[e.pos] = x.arcs[last]
	x.arcs[e.pos].e.pos = e.pos
	x.arcs[last] = arc{}
	x.arcs = x.arcs[:last]
	e.pos = none
	g.arcs--
	g.changed = true
}

// tree is the shortest paths from one vertex, by vertex.
type tree struct {
	dist   []int32 // hops; none: not reachable
	parent []int32 // the one before; of several the one with the lowest address
	queue  []int32 // all that are reachable, by distance
}

// walk computes the shortest paths from a vertex. Every link counts one, so a
// breadth-first search does it, in O(V+E).
func (t *tree) walk(g *graph, from int32) {
	n := len(g.vertices)
	t.dist, t.parent, t.queue = resize(t.dist, n), resize(t.parent, n), t.queue[:0]
	for i := range t.dist {
		t.dist[i] = none
	}
	t.dist[from], t.parent[from] = 0, from
	t.queue = append(t.queue, from)
	for i := 0; i < len(t.queue); i++ {
		u := t.queue[i]
		x := &g.vertices[u]
		d := t.dist[u] + 1
		for j := range x.arcs {
			switch v := x.arcs[j].to; {
			case t.dist[v] == none:
				t.dist[v], t.parent[v] = d, u
				t.queue = append(t.queue, v)
			case t.dist[v] == d && x.addr < g.vertices[t.parent[v]].addr:
				t.parent[v] = u
			}
		}
	}
}

// resize returns a slice of length n in the memory of s if it suffices. What it
// contains is left from before.
func resize[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n, n+n/4)
}
