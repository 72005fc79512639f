// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/rib"
)

func TestDirectory(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1)
	r.settle(Caps{}, 2)
	r.up(1)
	r.hear(1, lsa(1, self, 5))
	r.hear(1, lsa(1, 3, 0))
	r.down(1)
	r.up(1)
	r.packet(1, make([]byte, 3))
	dir := Dir(func() Snapshot { return r.s.Snapshot(r.now) }, func(a uint64) string { return fmt.Sprint(a) })
	want := []string{".dt 1", ".mgmt 1", ".mgmt 2", ".stats", "1--100", "1--3"}
	if got := dir.Names(); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	value := func(name, label string) any {
		t.Helper()
		e, ok := dir.Entry(name)
		i := slices.IndexFunc(e.Fields, func(f rib.Field) bool { return f.Label == label })
		if !ok || i < 0 {
			t.Errorf("%s has no %s", name, label)
			return nil
		}
		return e.Fields[i].Value
	}
	heard := r.now
	r.pass(3 * time.Second)
	for _, c := range []struct {
		name, label string
		want        any
	}{
		{"1--100", "src:", "1"}, {"1--100", "dst:", "100"}, {"1--100", "seqno:", uint64(5)}, {"1--100", "upd:", heard},
		{".dt 1", "state:", "announced"}, {".mgmt 1", "Extensions:", "batch withdrawal"}, {".mgmt 2", "Extensions:", "none"},
		{".stats", "Links:", uint64(3)}, {".stats", "LSAs rejected:", uint64(1)}, {".stats", "LSAs received:", uint64(2)},
		{".stats", "Routes:", uint64(1)}, {".stats", "Address collision:", "no"},
	} {
		if got := value(c.name, c.label); got != c.want {
			t.Errorf("%s %s %v, want %v", c.name, c.label, got, c.want)
		}
	}
	if n := value(".stats", "LSAs sent:"); n == uint64(0) {
		t.Error("nothing sent")
	}
	r.down(1)
	r.up(1)
	if got := value(".dt 1", "state:"); got != "held down" {
		t.Errorf("state %v", got)
	}
	for _, name := range []string{"", "1--2", "1", "--", ".dt 2", ".mgmt 3", ".dt", "100--1"} {
		if _, ok := dir.Entry(name); ok {
			t.Errorf("there is an entry %q", name)
		}
	}
}

// state500 is the state of a member of a layer of 500 nodes and 1000 links, of
// which it has four.
func state500(tb testing.TB) (s *State, now time.Time, all []record) {
	d, me := randomLSDB(500, 1000)
	s = New(Config{Self: me})
	now = time.Unix(1e9, 0)
	for i := range Peer(4) {
		s.AddPeer(now, i, uint64(i)+1, extended)
	}
	for l := range d.entries {
		if l.src == me {
			s.LinkUp(now, l.dst)
		} else {
			all = append(all, record{link: l})
		}
	}
	drain := func() { s.Drain(func(Peer, []byte) {}, func([]Route) {}) }
	for _, r := range all {
		s.Receive(now, 0, r.appendLSA(nil))
		drain()
	}
	now = now.Add(5 * time.Second)
	s.Tick(now)
	drain()
	if len(s.router.now.routes) != 499 {
		tb.Fatalf("%d routes", len(s.router.now.routes))
	}
	return s, now, all
}

// BenchmarkRefresh is an announcement that brings nothing new, in a layer of
// 500: the steady state. It also tells the memory of the state.
func BenchmarkRefresh(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, now, all := state500(b)
	runtime.GC()
	runtime.ReadMemStats(&after)
	var pkt []byte
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if i%len(all) == 0 {
			now = now.Add(DefaultUpdate)
		}
		r := &all[i%len(all)]
		r.seqno++
		pkt = r.appendLSA(pkt[:0])
		s.Receive(now, 0, pkt)
		s.Drain(func(Peer, []byte) {}, func([]Route) {})
		i++
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1024, "KiB-state")
}

// In the steady state nothing is allocated.
func TestRefreshDoesNotAllocate(t *testing.T) {
	s, now, all := state500(t)
	var pkt []byte
	round := func() {
		now = now.Add(DefaultUpdate)
		for i := range all {
			all[i].seqno++
			pkt = all[i].appendLSA(pkt[:0])
			s.Receive(now, 0, pkt)
			s.Drain(func(Peer, []byte) {}, func([]Route) {})
		}
		now = now.Add(time.Second)
		s.Tick(now)
		s.Drain(func(Peer, []byte) {}, func([]Route) {})
	}
	round()
	round()
	if n := testing.AllocsPerRun(5, round); n > 0 {
		t.Errorf("%v allocations in a round of %d announcements", n, len(all))
	}
}
