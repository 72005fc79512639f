// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// both announces a link in both directions, if it is not.
func (d *lsdb) both(a, b uint64) {
	for _, l := range []link{{a, b}, {b, a}} {
		if d.entries[l] == nil {
			d.revive(d.insert(l))
		}
	}
}

func routesOf(d *lsdb, self uint64, p Policy) map[uint64][]uint64 {
	var r router
	r.compute(&d.graph, self, p)
	m := make(map[uint64][]uint64)
	for _, route := range r.now.routes {
		m[route.Dst] = route.Next
	}
	return m
}

// The check values of spec 20 §8.6. The prototype names the primary of LFA a
// second time, at the end; we do not.
func TestCheckValues(t *testing.T) {
	d := newLSDB()
	for _, l := range [][2]uint64{{1, 2}, {1, 3}, {2, 4}, {3, 4}, {4, 5}} {
		d.both(l[0], l[1])
	}
	for p, want := range map[Policy]map[uint64][]uint64{
		Simple: {2: {2}, 3: {3}, 4: {2}, 5: {2}},
		LFA:    {2: {2}, 3: {3}, 4: {2, 3}, 5: {2, 3}},
		ECMP:   {2: {2}, 3: {3}, 4: {3, 2}, 5: {3, 2}},
	} {
		if got := routesOf(&d, 1, p); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("policy %d: %v, want %v", p, got, want)
		}
	}
}

// A link that one end announces is not used, not even as the first hop (LS-9).
func TestOneWay(t *testing.T) {
	for _, p := range policies {
		for _, l := range []link{{dst: 3, src: 1}, {dst: 1, src: 3}, {dst: 3, src: 2}, {dst: 2, src: 3}} {
			d := newLSDB()
			d.both(1, 2)
			d.revive(d.insert(l))
			want := map[uint64][]uint64{2: {2}}
			if got := routesOf(&d, 1, p); !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("policy %d, %d to %d: %v, want %v", p, l.src, l.dst, got, want)
			}
		}
	}
}

// Without a usable link there are no routes, and none stay (LS-10).
func TestNoLinks(t *testing.T) {
	for _, p := range policies {
		var r router
		d := newLSDB()
		d.both(1, 2)
		r.compute(&d.graph, 1, p)
		d.remove(d.entries[link{2, 1}])
		if changed, _ := r.compute(&d.graph, 1, p); !changed || len(r.now.routes) != 0 {
			t.Errorf("policy %d: changed %v, routes %v", p, changed, r.now.routes)
		}
		d.remove(d.entries[link{1, 2}])
		if changed, _ := r.compute(&d.graph, 1, p); changed || len(r.now.routes) != 0 {
			t.Errorf("policy %d: changed %v, routes %v", p, changed, r.now.routes)
		}
	}
}

// Links of a random graph appear and disappear in any order; then all routes
// are those of the definitions.
func TestRoutesAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(t, "nodes")
		node := rapid.Uint64Range(1, uint64(n))
		d := newLSDB()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			l := link{node.Draw(t, "dst"), node.Draw(t, "src")}
			e := d.entries[l]
			switch {
			case l.src == l.dst:
			case e == nil:
				d.revive(d.insert(l))
				if rapid.Bool().Draw(t, "both") {
					d.both(l.src, l.dst)
				}
			case e.gone:
				d.revive(e)
			case rapid.IntRange(0, 3).Draw(t, "lost") > 0: // links are more often there
			case rapid.Bool().Draw(t, "forgotten"):
				d.remove(e)
			default:
				d.bury(e)
			}
		}
		o := newOracle()
		alive := 0
		for l, e := range d.entries {
			if !e.gone {
				o.announce(l.src, l.dst)
				alive++
			}
		}
		o.compute()
		if d.alive != alive {
			t.Fatalf("%d links, counted %d", alive, d.alive)
		}
		arcs := 0
		for _, a := range o.nodes {
			for _, b := range o.nodes {
				if a != b && o.usable(a, b) {
					arcs++
				}
			}
		}
		if len(d.index) != len(o.nodes) || len(d.vertices)-len(d.free) != len(o.nodes) || d.arcs != arcs {
			t.Fatalf("%d nodes in the index, %d of %d vertices free, %d arcs; want %d nodes, %d arcs",
				len(d.index), len(d.free), len(d.vertices), d.arcs, len(o.nodes), arcs)
		}
		for _, p := range policies {
			for self := range uint64(n) {
				if msg := sameRoutes(routesOf(&d, self+1, p), o.routes(self+1, p), p); msg != "" {
					t.Fatalf("policy %d, from %d: %s", p, self+1, msg)
				}
			}
		}
	})
}

// A change of the links that changes no route is none of the routes.
func TestChangedRoutesOnly(t *testing.T) {
	for _, p := range policies {
		var r router
		d := newLSDB()
		d.both(1, 2)
		d.both(2, 3)
		d.both(3, 4)
		if changed, _ := r.compute(&d.graph, 1, p); !changed {
			t.Errorf("policy %d: first routes are no change", p)
		}
		d.both(2, 4)
		d.bury(d.entries[link{2, 4}])
		if changed, _ := r.compute(&d.graph, 1, p); changed {
			t.Errorf("policy %d: routes changed: %v", p, r.now.routes)
		}
		d.bury(d.entries[link{3, 4}])
		if changed, _ := r.compute(&d.graph, 1, p); !changed {
			t.Errorf("policy %d: a lost route is no change", p)
		}
	}
}

// randomLSDB is a connected layer.
func randomLSDB(nodes, links int) (d lsdb, self uint64) {
	rng := rand.New(rand.NewPCG(1, 1))
	d = newLSDB()
	addrs := make([]uint64, nodes)
	for i := range addrs {
		addrs[i] = uint64(rng.Uint32() | 1)
		if i > 0 {
			d.both(addrs[i], addrs[rng.IntN(i)])
		}
	}
	for len(d.entries) < 2*links {
		if a, b := addrs[rng.IntN(nodes)], addrs[rng.IntN(nodes)]; a != b {
			d.both(a, b)
		}
	}
	return d, addrs[nodes/2]
}

func TestComputeDoesNotAllocate(t *testing.T) {
	d, self := randomLSDB(100, 200)
	for _, p := range policies {
		var r router
		r.compute(&d.graph, self, p)
		r.compute(&d.graph, self, p)
		if n := testing.AllocsPerRun(10, func() { r.compute(&d.graph, self, p) }); n > 0 {
			t.Errorf("policy %d: %v allocations", p, n)
		}
	}
}

func BenchmarkCompute(b *testing.B) {
	d, self := randomLSDB(500, 1000)
	for _, p := range policies {
		b.Run(fmt.Sprintf("policy=%d", p), func(b *testing.B) {
			b.ReportAllocs()
			var r router
			for b.Loop() {
				r.compute(&d.graph, self, p)
			}
		})
	}
}
