// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func testPort(limit int) *port { return &port{kind: accepted, limit: limit} }

func at(n int) station { return station(0x02_00_00_00_00_00+uint64(n)) << vlanBits }

// The table behaves like a map.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := newTable(100)
		ports := []*port{testPort(1000), testPort(1000), testPort(1000)}
		type place struct {
			port  *port
			heard int64
		}
		want := map[station]place{}
		now := int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += 2 * fresh
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0:
				p := ports[rapid.IntRange(0, 2).Draw(t, "port")]
				tab.forget(p)
				for s, w := range want {
					if w.port == p {
						delete(want, s)
					}
				}
			case 1:
				since := now - rapid.Int64Range(0, 200).Draw(t, "age")*fresh
				tab.age(since)
				for s, w := range want {
					if w.heard < since {
						delete(want, s)
					}
				}
			default:
				s := at(rapid.IntRange(0, 150).Draw(t, "station"))
				p := ports[rapid.IntRange(0, 2).Draw(t, "port")]
				if _, known := want[s]; !known && len(want) >= 100 {
					continue // what is evicted then is another test
				}
				tab.learn(s, p, now)
				want[s] = place{p, now}
			}
			counts := map[*port]int64{}
			for i := range 151 {
				if got := tab.lookup(at(i)); got != want[at(i)].port {
					t.Fatalf("station %d is behind %p, want %p", i, got, want[at(i)].port)
				}
				if p := want[at(i)].port; p != nil {
					counts[p]++
				}
			}
			for i, p := range ports {
				if p.macs.Load() != counts[p] {
					t.Fatalf("port %d has %d stations, want %d", i, p.macs.Load(), counts[p])
				}
			}
			if tab.size() != len(want) {
				t.Fatalf("%d stations, want %d", tab.size(), len(want))
			}
		}
	})
}

// A port that makes up addresses gets its share, and no more.
func TestPortLimit(t *testing.T) {
	tab := newTable(100)
	greedy, modest := testPort(25), testPort(25)
	for i := range 10000 {
		tab.learn(at(i), greedy, 0)
	}
	if n := greedy.macs.Load(); n != 25 || tab.size() != 25 || tab.refused.Load() != 9975 {
		t.Errorf("%d stations, %d refused", n, tab.refused.Load())
	}
	for i := range 20 {
		tab.learn(at(i), modest, 0) // those of the other
	}
	if modest.macs.Load() != 20 || greedy.macs.Load() != 5 || tab.moves.Load() != 20 {
		t.Errorf("%d and %d stations, %d moved", modest.macs.Load(), greedy.macs.Load(), tab.moves.Load())
	}
}

// When the table is full, who has little is served at the cost of who has
// much.
func TestFullTable(t *testing.T) {
	tab := newTable(100)
	greedy := []*port{testPort(40), testPort(40), testPort(40), testPort(40)}
	for i := range 1000 {
		tab.learn(at(i), greedy[i%4], 0)
	}
	modest := testPort(40)
	for i := range 10 {
		tab.learn(at(5000+i), modest, 0)
		if tab.lookup(at(5000+i)) != modest {
			t.Errorf("station %d was not learnt", i)
		}
	}
	if tab.size() != 100 || modest.macs.Load() != 10 {
		t.Errorf("%d stations, %d behind the modest port", tab.size(), modest.macs.Load())
	}
	tab.learn(at(9999), greedy[0], 0)
	if n := greedy[0].macs.Load(); n > 25 {
		t.Errorf("a greedy port got %d", n)
	}
}

// Nothing is learnt of a port that is gone, and nothing sent to it.
func TestGonePort(t *testing.T) {
	tab := newTable(100)
	p := testPort(10)
	tab.learn(at(1), p, 0)
	p.gone.Store(true)
	tab.learn(at(2), p, 0)
	if tab.lookup(at(1)) != nil || tab.lookup(at(2)) != nil {
		t.Error("found")
	}
}

// Many learn, look up and forget at once; in the end the numbers are right.
func TestTableConcurrency(t *testing.T) {
	tab := newTable(64)
	ports := []*port{testPort(40), testPort(40), testPort(40)}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := range 20000 {
				tab.learn(at(i*7%80), ports[(i+g)%3], int64(i))
				tab.lookup(at(i % 80))
			}
		})
	}
	wg.Go(func() {
		for i := range 500 {
			tab.forget(ports[i%3])
			tab.age(int64(i))
		}
	})
	wg.Wait()
	counts := map[*port]int64{}
	tab.each(func(s station, p *port, _ int64) bool {
		counts[p]++
		if tab.lookup(s) != p {
			t.Errorf("%v is not found", s)
		}
		return true
	})
	total := 0
	for i, p := range ports {
		if p.macs.Load() != counts[p] {
			t.Errorf("port %d has %d stations, says %d", i, counts[p], p.macs.Load())
		}
		total += int(counts[p])
	}
	if total != tab.size() || total > 64 {
		t.Errorf("%d stations, says %d", total, tab.size())
	}
}

func TestRepeats(t *testing.T) {
	r := newRepeats()
	for seq := range uint32(40000) {
		for _, id := range []uint64{1, 2, 0xFFFFFFFFFFFFFFFF} {
			if r.known(id, seq) || !r.first(id, seq) || r.first(id, seq) || !r.known(id, seq) {
				t.Fatalf("frame %d of %d", seq, id)
			}
		}
	}
	// The last frames of one member do not push out each other.
	r = newRepeats()
	for seq := range uint32(remembered) {
		r.first(5, seq-remembered/2)
	}
	for seq := range uint32(remembered) {
		if !r.known(5, seq-remembered/2) {
			t.Fatalf("frame %d is forgotten", seq)
		}
	}
}

func TestStorm(t *testing.T) {
	var s storm
	n, now := 0, int64(0)
	for ; now < int64(10*time.Second); now += int64(100 * time.Microsecond) {
		if s.admit(now, 1000) {
			n++
		}
	}
	if n < 10400 || n > 10501 {
		t.Errorf("%d frames in 10 s", n)
	}
	now += int64(time.Hour)
	for n = 0; s.admit(now, 1000); n++ {
	}
	if n != 500 {
		t.Errorf("burst of %d frames", n)
	}
	if s.admit(now-int64(time.Hour), 1000) {
		t.Error("time runs backwards")
	}
	s = storm{}
	for n = 0; s.admit(0, 1); n++ {
	}
	if n != minBurst {
		t.Errorf("burst of %d frames at a low rate", n)
	}
}
