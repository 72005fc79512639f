// SPDX-License-Identifier: BSD-3-Clause

package pff

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

type routes = []Route[int]

func hop(t *testing.T, table *Table[int], dst uint64, want int) {
	t.Helper()
	for flow := range uint64(20) {
		if h, ok := table.Lookup(dst, flow); h != want || ok != (want != 0) {
			t.Fatalf("next hop to %d: %d, %v, want %d", dst, h, ok, want)
		}
	}
}

// Simple knows the first hop only.
func TestSimple(t *testing.T) {
	table := New[int](Simple)
	hop(t, table, 7, 0)
	table.Set(routes{{7, []int{1, 2}}, {8, []int{2}}, {9, nil}, {7, []int{3}}})
	hop(t, table, 7, 1)
	hop(t, table, 8, 2)
	hop(t, table, 9, 0)
	hop(t, table, 0, 0)
	table.SetDown(1, true)
	hop(t, table, 7, 0)
	hop(t, table, 8, 2)
	if table.Len() != 1 {
		t.Errorf("%d destinations", table.Len())
	}
	table.SetDown(1, false)
	hop(t, table, 7, 1)
	table.Set(nil)
	hop(t, table, 7, 0)
	if table.Len() != 0 || len(table.All()) != 0 {
		t.Errorf("%d destinations", table.Len())
	}
}

// Alternate takes the next hop that is not down, also after new routes
// (LS-11), and returns to the first.
func TestAlternate(t *testing.T) {
	table := New[int](Alternate)
	r := routes{{7, []int{1, 2, 3, 1}}, {8, []int{3, 1}}}
	table.Set(r)
	hop(t, table, 7, 1)
	table.SetDown(1, true)
	hop(t, table, 7, 2)
	hop(t, table, 8, 3)
	table.Set(r)
	hop(t, table, 7, 2)
	table.SetDown(2, true)
	hop(t, table, 7, 3)
	table.SetDown(3, true)
	hop(t, table, 7, 0)
	hop(t, table, 8, 0)
	table.SetDown(2, false)
	hop(t, table, 7, 2)
	table.SetDown(1, false)
	hop(t, table, 7, 1)
	hop(t, table, 8, 1)
	table.Remove(1)
	hop(t, table, 7, 2)
	hop(t, table, 8, 0)
	table.SetDown(4, true) // before any route has it
	table.Set(routes{{7, []int{4, 5}}})
	hop(t, table, 7, 5)
	table.Remove(4)
	table.Set(routes{{7, []int{4, 5}}})
	hop(t, table, 7, 4)
}

// spread counts the flows of each hop, and checks that a flow stays.
func spread(t *testing.T, table *Table[int], dst uint64, flows int) (of []int, count map[int]int) {
	t.Helper()
	count = make(map[int]int)
	for flow := range uint64(flows) {
		h, ok := table.Lookup(dst, flow<<32|64)
		if again, _ := table.Lookup(dst, flow<<32|64); !ok || again != h {
			t.Fatalf("flow %d: %d, then %d, %v", flow, h, again, ok)
		}
		of = append(of, h)
		count[h]++
	}
	return of, count
}

// Flows are spread evenly; when a hop goes only its flows move, to all the
// others, and come back with it.
func TestMultipath(t *testing.T) {
	const flows = 4000
	table := New[int](Multipath)
	all := routes{{7, []int{1, 2, 3, 4}}, {8, []int{2, 2}}}
	table.Set(all)
	hop(t, table, 8, 2)
	before, count := spread(t, table, 7, flows)
	for h := 1; h <= 4; h++ {
		if n := count[h]; n < flows/4-200 || n > flows/4+200 {
			t.Errorf("hop %d has %d of %d flows", h, n, flows)
		}
	}
	moved := func(what string) {
		t.Helper()
		after, count := spread(t, table, 7, flows)
		for flow, h := range before {
			if h != 3 && after[flow] != h {
				t.Fatalf("%s: flow %d moved from %d to %d", what, flow, h, after[flow])
			}
		}
		for _, h := range []int{1, 2, 4} {
			if n := count[h]; n < flows/3-200 || n > flows/3+200 {
				t.Errorf("%s: hop %d has %d of %d flows", what, h, n, flows)
			}
		}
		if count[3] != 0 {
			t.Errorf("%s: the hop still has %d flows", what, count[3])
		}
	}
	table.SetDown(3, true)
	moved("down")
	table.Set(routes{{7, []int{4, 3, 2, 1}}}) // in another order
	moved("down, other routes")
	table.SetDown(3, false)
	after, _ := spread(t, table, 7, flows)
	if !slices.Equal(after, before) {
		t.Error("flows are not where they were when the hop is back")
	}
	table.Set(routes{{7, []int{4, 2, 1}}})
	moved("not on the way")
	if got := table.All(); len(got) != 1 || len(got[0].Hops) != 3 {
		t.Errorf("all: %v", got)
	}
	table.SetDown(1, true)
	table.SetDown(2, true)
	hop(t, table, 7, 4)
	table.SetDown(4, true)
	hop(t, table, 7, 0)
}

// Destinations of one flow id do not go all the same way.
func TestMultipathDestinations(t *testing.T) {
	table := New[int](Multipath)
	var r routes
	for dst := range uint64(1000) {
		r = append(r, Route[int]{dst + 1, []int{1, 2}})
	}
	table.Set(r)
	n := 0
	for dst := range uint64(1000) {
		if h, _ := table.Lookup(dst+1, 0); h == 1 {
			n++
		}
	}
	if n < 400 || n > 600 {
		t.Errorf("%d of 1000 by one of two hops", n)
	}
}

// Whatever is set, look-ups are those of a map.
func TestTableAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy(rapid.IntRange(0, 2).Draw(t, "policy"))
		table := New[int](p)
		var current map[uint64][]int
		down := map[int]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			h := rapid.IntRange(1, 5).Draw(t, "hop")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				current = rapid.MapOfN(rapid.Uint64(), rapid.SliceOfN(rapid.IntRange(1, 5), 0, 5), 0, 50).Draw(t, "routes")
				var r routes
				for dst, hops := range current {
					r = append(r, Route[int]{dst, hops})
				}
				table.Set(r)
			case 1:
				table.SetDown(h, true)
				down[h] = true
			case 2:
				table.SetDown(h, false)
				down[h] = false
			case 3:
				table.Remove(h)
				down[h] = false
				for dst := range current {
					current[dst] = slices.DeleteFunc(slices.Clone(current[dst]), func(x int) bool { return x == h })
				}
			}
			n := 0
			for dst, hops := range current {
				usable := slices.DeleteFunc(slices.Clone(hops), func(h int) bool { return down[h] })
				if p == Simple {
					usable = nil
					if len(hops) > 0 && !down[hops[0]] {
						usable = hops[:1]
					}
				} else if p == Alternate && len(usable) > 0 {
					usable = usable[:1]
				}
				got, ok := table.Lookup(dst, rapid.Uint64().Draw(t, "flow"))
				if ok != (len(usable) > 0) || ok && !slices.Contains(usable, got) {
					t.Fatalf("next hop to %d: %d, %v, want one of %v", dst, got, ok, usable)
				}
				if ok {
					n++
				}
			}
			if table.Len() != n || len(table.All()) != n {
				t.Fatalf("%d destinations, %d listed, want %d", table.Len(), len(table.All()), n)
			}
			if _, ok := table.Lookup(rapid.Uint64().Filter(func(a uint64) bool { return current[a] == nil }).Draw(t, "unknown"), 0); ok {
				t.Fatal("a route to an unknown address")
			}
		}
	})
}

// Look-ups go on while the table changes, and never see a hop that was not
// there at some time meanwhile.
func TestConcurrentUse(t *testing.T) {
	table := New[int](Multipath)
	table.Set(routes{{7, []int{1, 2}}})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for flow := uint64(0); ; flow++ {
				select {
				case <-stop:
					return
				default:
				}
				if h, ok := table.Lookup(7, flow); !ok || h < 1 || h > 3 {
					t.Errorf("%d, %v", h, ok)
					return
				}
			}
		})
	}
	for i := range 500 {
		table.SetDown(1, i%2 == 0)
		table.Set(routes{{7, []int{1, 2, 3}}, {uint64(i), []int{4}}})
	}
	close(stop)
	wg.Wait()
}

func table500(p Policy) *Table[*int] {
	hops := []*int{new(int), new(int), new(int), new(int)}
	var r []Route[*int]
	for i := range uint64(500) {
		r = append(r, Route[*int]{(i + 1) * 0x9e3779b1 & 0xffffffff, hops[:1+i%4]})
	}
	t := New[*int](p)
	t.Set(r)
	return t
}

func TestLookupDoesNotAllocate(t *testing.T) {
	for p := Simple; p <= Multipath; p++ {
		table := table500(p)
		if n := testing.AllocsPerRun(100, func() { table.Lookup(4*0x9e3779b1&0xffffffff, 5) }); n > 0 {
			t.Errorf("policy %d: %v allocations", p, n)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for p := Simple; p <= Multipath; p++ {
		b.Run(fmt.Sprintf("policy=%d", p), func(b *testing.B) {
			table := table500(p)
			b.ReportAllocs()
			i := uint64(0)
			for b.Loop() {
				i++
				if _, ok := table.Lookup((i%500+1)*0x9e3779b1&0xffffffff, i); !ok {
					b.Fatal("no route")
				}
			}
		})
	}
}

// BenchmarkSetDown is what a look-up waits for when a hop goes.
func BenchmarkSetDown(b *testing.B) {
	table := table500(Multipath)
	h := table.All()[0].Hops[0]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.SetDown(h, i%2 == 0)
	}
}
