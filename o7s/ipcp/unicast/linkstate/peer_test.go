// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"slices"
	"testing"
	"time"
)

// A new connection gets the database, in its order, and again a second later:
// one of ours at once and in few packets, a prototype after 100 ms, one by one,
// and without what it says itself (LS-6).
func TestCopy(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1)
	all := []record{lsa(3, 1, 5), lsa(2, 3, 4), lsa(5, 3, 0)}
	for _, i := range []int{2, 0, 1} {
		r.hear(1, all[i])
	}
	r.peer(2, extended)
	if n := len(r.pkts[2]); n != 1 {
		t.Errorf("%d packets", n)
	}
	r.want(2, all...)
	r.pass(2 * time.Second)
	r.want(2, all...)

	r.peer(3, Caps{})
	r.hear(1, lsa(6, 7, 0)) // meanwhile
	r.pass(copyDelay - time.Millisecond)
	r.want(3)
	r.pass(time.Millisecond)
	if n := len(r.pkts[3]); n != 3 {
		t.Errorf("%d packets", n)
	}
	r.want(3, lsa(2, 3, 4), lsa(5, 3, 0), lsa(6, 7, 0))
	r.pass(2 * time.Second)
	r.want(3, lsa(2, 3, 4), lsa(5, 3, 0), lsa(6, 7, 0))
	r.hear(1, lsa(3, 1, 6))
	r.want(3) // its own
}

// A large database goes in parts that no queue overflows from, and what
// changes meanwhile is right in the end.
func TestLargeCopy(t *testing.T) {
	for _, caps := range []Caps{{}, extended} {
		r := newRig(t)
		r.settle(extended, 1)
		const n = 2000
		for i := range uint64(n) {
			r.hear(1, lsa(1000+i, 8, 1))
		}
		r.peer(2, caps)
		most := 0
		known := map[link]uint64{}
		for step := range 400 {
			if step == 10 {
				r.hear(1, lsa(1000, 8, 2))
				r.hear(1, lsa(1999, 8, 2))
			}
			r.pass(5 * time.Millisecond)
			most = max(most, len(r.pkts[2]))
			for _, x := range r.take(2) {
				known[x.link] = x.seqno
			}
		}
		if most > 64+2 {
			t.Errorf("%d packets at once", most)
		}
		if len(known) != n || known[link{8, 1000}] != 2 || known[link{8, 1999}] != 2 {
			t.Errorf("peer knows %d links", len(known))
		}
	}
}

// What is only refreshed waits for company, if the peer takes several in one
// packet; news goes at once.
func TestBatches(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1, 3)
	r.settle(extended, 2)
	const n = 100
	for seqno := range uint64(2) {
		for i := range uint64(n) {
			r.hear(1, lsa(1000+i, 8, seqno))
		}
		if n3 := len(r.pkts[3]); n3 != n {
			t.Errorf("%d packets to a prototype", n3)
		}
		r.take(3)
		if seqno == 0 {
			if len(r.pkts[2]) != n {
				t.Errorf("%d packets with news", len(r.pkts[2]))
			}
			r.take(2)
			continue
		}
		if len(r.pkts[2]) != 0 {
			t.Error("refreshed links do not wait")
		}
		r.pass(lazy)
		if len(r.pkts[2]) != 3 { // of at most 48
			t.Errorf("%d packets", len(r.pkts[2]))
		}
		if got := r.take(2); len(got) != n || !slices.Contains(got, lsa(1099, 8, 1)) {
			t.Errorf("%d records", len(got))
		}
	}
}

// A prototype hears something at least every 15 s: a keepalive would stop its
// reader (LS-5). One of ours need not.
func TestPrototypeHearsSomething(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1)
	r.settle(extended, 2)
	r.pass(10 * time.Minute)
	if n := len(r.pkts[1]); n < 38 || n > 42 {
		t.Errorf("%d packets in 10 minutes", n)
	}
	for _, p := range r.pkts[1] {
		if len(p) != len(filler) {
			t.Errorf("% x", p)
		}
	}
	if n := len(r.pkts[2]); n != 0 {
		t.Errorf("%d packets to one of ours", n)
	}
	r.up(1)
	r.take(1)
	r.pass(10 * time.Minute)
	for _, p := range r.pkts[1] {
		if len(p) == len(filler) {
			t.Fatal("filler beside announcements")
		}
	}
}

// A peer that is gone gets nothing, and is heard no longer.
func TestRemovedPeer(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1, 2)
	r.do(func(now time.Time) { r.s.RemovePeer(now, 1) })
	r.hear(1, lsa(7, 8, 0))
	r.hear(2, lsa(9, 8, 0))
	r.pass(time.Hour)
	r.want(1)
	if r.s.Knows(7) {
		t.Error("heard a peer that is gone")
	}
	r.do(func(now time.Time) { r.s.RemovePeer(now, 2) })
	if d := r.s.Deadline(); !d.IsZero() {
		t.Errorf("a deadline with nothing to do: %v", d)
	}
}
