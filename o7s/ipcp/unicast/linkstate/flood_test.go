// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"testing"
	"time"
)

// The table of spec 20 §8.4: new is inserted and forwarded, newer refreshes
// and is forwarded, anything else is dropped; never back to where it came from.
func TestFlooding(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1, 2, 3)
	for _, step := range []struct {
		seqno uint64
		news  bool
	}{{5, true}, {5, false}, {4, false}, {6, true}, {1 << 40, true}, {7, false}} {
		x := lsa(7, 8, step.seqno)
		r.hear(2, x)
		var want []record
		if step.news {
			want = []record{x}
		}
		r.want(1, want...)
		r.want(2)
		r.want(3, want...)
	}
}

// Refresh time decides about age; an old number does not refresh.
func TestAgeing(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1)
	r.hear(1, lsa(7, 8, 5))
	r.pass(50 * time.Second)
	r.hear(1, lsa(7, 8, 5))
	r.pass(9 * time.Second)
	if !r.s.Knows(7) || !r.s.Knows(8) || r.s.Knows(9) {
		t.Error("link is not there")
	}
	r.pass(2 * time.Second)
	if r.s.Knows(7) || r.s.Knows(8) {
		t.Error("link did not age")
	}
	r.hear(1, lsa(7, 8, 6))
	r.pass(50 * time.Second)
	r.hear(1, lsa(7, 8, 7))
	r.pass(50 * time.Second)
	if !r.s.Knows(7) {
		t.Error("link aged although it was refreshed")
	}
}

// Routes follow ageing (LS-1), and own links do not age.
func TestRoutesAfterAgeing(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1)
	r.up(1)
	r.hear(1, lsa(1, self, 0))
	if len(r.routes) != 1 {
		t.Fatalf("routes %v", r.routes)
	}
	r.pass(DefaultTimeout + time.Second)
	if len(r.routes) != 0 {
		t.Errorf("routes %v", r.routes)
	}
	r.hear(1, lsa(1, self, 1))
	if len(r.routes) != 1 {
		t.Errorf("routes %v", r.routes)
	}
}

// Malformed packets change nothing and are counted; several records come only
// from those who said so.
func TestRejects(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1)
	r.settle(extended, 2)
	x := lsa(7, 8, 1).appendLSA(nil)
	two := lsa(9, 8, 1).appendLSA(x)
	for name, c := range map[string]struct {
		peer Peer
		pkt  []byte
	}{
		"empty": {1, nil}, "empty, ours": {2, nil},
		"short": {1, x[:23]}, "long": {1, append(x[:24:24], 0)}, "40 bytes": {1, make([]byte, 40)},
		"batch": {1, two}, "withdrawal": {1, withdrawal(7, 8, 1).appendWithdrawal(nil)},
		"cut batch": {2, two[:47]}, "zeros": {2, make([]byte, 48)}, "stranger": {9, x},
	} {
		before := r.s.Stats().Rejected
		r.packet(c.peer, c.pkt)
		if r.s.Stats().Rejected == before {
			t.Errorf("%s: not rejected", name)
		}
	}
	if len(r.s.db.entries) != 0 {
		t.Errorf("%d entries", len(r.s.db.entries))
	}
	r.packet(2, two)
	if len(r.s.db.entries) != 2 {
		t.Errorf("%d entries after a batch of two", len(r.s.db.entries))
	}
}

// A withdrawal ends a link at once, is forwarded to those who know
// withdrawals, and is said again while it holds.
func TestWithdrawal(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1, 2)
	r.settle(Caps{}, 3)
	r.up(1)
	r.hear(1, lsa(1, self, 3))
	r.pass(5 * time.Second)
	r.take(2)
	r.take(3)
	gone := withdrawal(1, self, 4)
	r.hear(1, gone)
	if len(r.routes) != 0 {
		t.Errorf("routes %v", r.routes)
	}
	r.want(2, gone)
	r.want(3)
	r.pass(5 * time.Second)
	r.want(2, gone, gone)
	// An old copy does not bring it back, and who sends it is told.
	r.hear(2, lsa(1, self, 3))
	r.want(2, gone)
	r.hear(2, lsa(1, self, 3))
	r.want(2) // once a second
	r.hear(3, lsa(1, self, 3))
	r.want(3)
	if len(r.routes) != 0 {
		t.Errorf("routes %v", r.routes)
	}
	// A newer one does.
	r.hear(1, lsa(1, self, 5))
	r.pass(lazy)
	r.want(2, lsa(1, self, 5))
	if len(r.routes) != 1 {
		t.Errorf("routes %v", r.routes)
	}
	// An old withdrawal does not end it, and who sends it is told.
	r.pass(time.Second)
	r.hear(2, gone)
	r.want(2, lsa(1, self, 5))
	if len(r.routes) != 1 {
		t.Errorf("routes %v", r.routes)
	}
}

// A withdrawal of a link that nobody here has heard of counts all the same:
// an older announcement may still come. In the end it is forgotten.
func TestWithdrawalFirst(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1, 2)
	r.hear(1, withdrawal(7, 8, 4))
	r.want(2, withdrawal(7, 8, 4))
	r.hear(2, lsa(7, 8, 4))
	r.hear(2, lsa(7, 8, 3))
	if r.s.Knows(7) {
		t.Error("link is there")
	}
	r.pass(r.s.cfg.memory() + time.Second)
	if len(r.s.db.entries) != 0 {
		t.Error("withdrawal not forgotten")
	}
	r.hear(2, lsa(7, 8, 3))
	if !r.s.Knows(7) {
		t.Error("link is not there")
	}
}

// Of announcement and withdrawal with one number the withdrawal counts.
func TestWithdrawalWithSameNumber(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1, 2)
	r.hear(1, lsa(7, 8, 4))
	r.hear(1, withdrawal(7, 8, 4))
	if r.s.Knows(7) {
		t.Error("link is there")
	}
}

// A neighbour that begins again with low numbers is told the one in use
// (LS-8); it then goes on above.
func TestNeighbourIsToldItsNumber(t *testing.T) {
	for _, caps := range []Caps{{}, extended} {
		r := newRig(t)
		r.settle(caps, 1, 2)
		r.hear(1, lsa(1, self, 17))
		r.hear(1, lsa(1, self, 0))
		r.want(1, lsa(1, self, 17))
		r.hear(2, lsa(1, self, 0)) // somebody else need not know
		r.pass(lazy)
		r.want(2, lsa(1, self, 17))
	}
}

// The database has a limit, from which own links are free; and a peer has a
// rate.
func TestLimits(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1, 2)
	var b []byte
	for i := range uint64(maxEntries + 100) {
		b = lsa(i+1000, 8, 1).appendLSA(b[:0])
		r.s.Receive(r.now, 1, b)
	}
	r.do(r.s.Tick)
	if n := len(r.s.db.entries); n != maxEntries || r.s.Stats().Full != 100 {
		t.Errorf("%d entries, %d without room", n, r.s.Stats().Full)
	}
	r.take(2)
	r.up(2)
	r.want(2, lsa(self, 2, 0))
	for range rateBurst {
		r.s.Receive(r.now, 1, b)
	}
	if r.s.Stats().Limited == 0 {
		t.Error("no limit to the rate")
	}
	r.hear(1, lsa(1000, 8, 2))
	if r.s.db.entries[link{8, 1000}].seqno != 1 {
		t.Error("record above the rate was taken")
	}
	r.pass(time.Second)
	r.hear(1, lsa(1000, 8, 2))
	if r.s.db.entries[link{8, 1000}].seqno != 2 {
		t.Error("record within the rate was not taken")
	}
	r.hear(2, lsa(1001, 8, 2))
	if r.s.db.entries[link{8, 1001}].seqno != 2 {
		t.Error("record of another peer was not taken")
	}
}

// The first change is computed at once, others together; links that are
// announced one way cost nothing.
func TestRecomputations(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1)
	r.up(1)
	for i := range uint64(1000) {
		r.hear(1, lsa(1000+i, 8, 1))
	}
	if n := r.s.Stats().Recomputations; n != 0 {
		t.Errorf("%d recomputations without a usable link", n)
	}
	r.hear(1, lsa(1, self, 0))
	if len(r.routes) != 1 {
		t.Fatal("first change not computed at once")
	}
	for i := range uint64(50) {
		r.hear(1, lsa(2000+i, 1, 0))
		r.hear(1, lsa(1, 2000+i, 0))
		r.pass(2 * time.Millisecond)
	}
	r.pass(recalc)
	if n := r.s.Stats().Recomputations; n > 3 || len(r.routes) != 51 {
		t.Errorf("%d recomputations, %d routes", n, len(r.routes))
	}
}
