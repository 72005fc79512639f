// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"testing"
	"time"
)

// A link is announced at once, a second later, and at each update.
func TestAnnouncements(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1)
	r.up(1)
	r.want(1, lsa(self, 1, 0))
	r.up(1) // again: nothing
	r.pass(announceAgain - time.Millisecond)
	r.want(1)
	r.pass(time.Millisecond)
	r.want(1, lsa(self, 1, 1))
	r.pass(13 * time.Second)
	r.want(1)
	r.up(2)
	r.want(1, lsa(self, 2, 0))
	r.pass(time.Second)
	r.want(1, lsa(self, 2, 1), lsa(self, 1, 2), lsa(self, 2, 2)) // update and repetition fall together
	r.pass(DefaultUpdate)
	r.want(1, lsa(self, 1, 3), lsa(self, 2, 3))
	r.up(0)
	r.up(self)
	r.want(1)
}

// A lost link is withdrawn with a number of its own, and known as gone here;
// when it is back the numbers go on.
func TestLossAndReturn(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1)
	r.settle(Caps{}, 2)
	r.up(1)
	r.hear(1, lsa(1, self, 0))
	r.pass(3 * time.Second)
	r.take(1)
	r.take(2)
	r.down(1)
	r.want(1, withdrawal(self, 1, 2))
	r.want(2)
	if len(r.routes) != 0 {
		t.Errorf("routes %v", r.routes)
	}
	r.down(1) // again: nothing
	r.want(1)
	r.pass(3 * time.Second)
	r.want(1, withdrawal(self, 1, 2), withdrawal(self, 1, 2))
	r.up(1)
	r.pass(holdMin)
	r.want(1, lsa(self, 1, 3))
	r.want(2, lsa(self, 1, 3))
	if len(r.routes) != 1 {
		t.Errorf("routes %v", r.routes)
	}
	// Long after, when all is forgotten, also.
	r.down(1)
	r.pass(time.Hour)
	if len(r.s.own) != 0 || len(r.s.db.entries) != 0 {
		t.Errorf("%d own links, %d entries are left", len(r.s.own), len(r.s.db.entries))
	}
	r.take(1)
	r.up(1)
	r.want(1, lsa(self, 1, 0))
}

// Each loss within a minute doubles the time that the link must be up.
func TestHysteresis(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1)
	r.up(1)
	r.want(1, lsa(self, 1, 0))
	hold := holdMin
	for range 10 {
		r.down(1)
		r.pass(5 * time.Second)
		r.take(1)
		r.up(1)
		r.pass(hold - time.Millisecond)
		r.want(1)
		r.pass(time.Millisecond)
		if got := r.take(1); len(got) == 0 || got[0].gone {
			t.Fatalf("after %v: %+v", hold, got)
		}
		hold = min(2*hold, holdMax)
	}
	if hold != holdMax {
		t.Errorf("hold-down reached %v", hold)
	}
	// Down before it was announced: nothing is said.
	r.down(1)
	r.pass(5 * time.Second)
	r.take(1)
	r.up(1)
	r.pass(holdMax / 2)
	r.down(1)
	r.pass(5 * time.Second)
	r.want(1)
	r.up(1)
	r.pass(holdMax)
	r.take(1)
	// Forgotten after a minute.
	r.down(1)
	r.pass(holdForget)
	r.take(1)
	r.up(1)
	if got := r.take(1); len(got) != 1 {
		t.Errorf("after a minute: %+v", got)
	}
}

// Numbers go on above any that was seen for the link, before it was announced
// and after (LS-8).
func TestNumbersGoOn(t *testing.T) {
	r := newRig(t)
	r.settle(Caps{}, 1, 2)
	r.hear(1, lsa(self, 2, 41))
	r.want(2) // not ours to forward: there is no such link
	if r.s.Knows(self) {
		t.Error("own link installed that does not exist (LS-6)")
	}
	r.pass(10 * time.Second)
	r.want(1) // nor refreshed
	r.up(2)
	r.want(1, lsa(self, 2, 43)) // 42 withdraws it, but nobody here understands that
	r.pass(5 * time.Second)
	r.take(1)
	r.take(2)
	r.hear(1, lsa(self, 2, 7)) // old: nothing
	r.want(1)
	r.hear(1, lsa(self, 2, 99))
	r.want(1, lsa(self, 2, 100))
	r.hear(1, lsa(self, 2, 200))
	r.want(1) // at most each second
	r.pass(time.Second)
	r.want(1, lsa(self, 2, 201))
	// Beyond all measure: the numbers go round, and nothing else happens.
	r.pass(time.Second)
	r.hear(1, lsa(self, 2, maxSeqno))
	r.want(1, lsa(self, 2, 0))
	r.pass(time.Second)
	r.hear(1, lsa(self, 3, maxSeqno))
	r.pass(time.Minute)
	for _, x := range r.take(1) {
		if x.dst != 2 || !x.valid() {
			t.Errorf("said %+v", x)
		}
	}
}

// A link of ours that does not exist is withdrawn, once for each number.
func TestPhantomIsWithdrawn(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1, 2)
	r.settle(Caps{}, 3)
	r.hear(3, lsa(self, 9, 41))
	r.want(1, withdrawal(self, 9, 42))
	r.want(2, withdrawal(self, 9, 42))
	r.hear(3, lsa(self, 9, 41))
	r.want(1)
	r.want(3)
	r.pass(3 * time.Second)
	r.take(1)
	r.up(9)
	r.want(1, lsa(self, 9, 43))
}

// A withdrawal of a link that exists is contradicted.
func TestForeignWithdrawal(t *testing.T) {
	r := newRig(t)
	r.settle(extended, 1, 2)
	r.up(1)
	r.hear(1, lsa(1, self, 0))
	r.pass(5 * time.Second)
	r.take(1)
	r.hear(2, withdrawal(self, 1, 50))
	r.want(1, lsa(self, 1, 51))
	if len(r.routes) != 1 {
		t.Errorf("routes %v", r.routes)
	}
}

// Somebody who announces our address's links again and again has our address;
// what is left of an earlier life comes once.
func TestCollision(t *testing.T) {
	for _, exists := range []bool{true, false} {
		r := newRig(t)
		r.settle(extended, 1, 2)
		if exists {
			r.up(9)
		}
		for i := range uint64(20) { // the past, in some order, from several
			r.hear(1, lsa(self, 9, 10+i))
			r.pass(100 * time.Millisecond)
		}
		if r.s.Collision() {
			t.Error("the past was taken for a collision")
		}
		seqno := uint64(1000)
		for range 3 {
			r.hear(1, lsa(self, 9, seqno))
			r.pass(DefaultUpdate)
			seqno += 1000
		}
		if !r.s.Collision() {
			t.Error("no collision")
		}
		r.pass(2 * time.Minute)
		if r.s.Collision() {
			t.Error("the collision does not end")
		}
	}
}

// Two of our members with one address do not keep the layer busy, and both
// notice.
func TestSimulatedCollision(t *testing.T) {
	for _, common := range []bool{true, false} {
		b := newBus(t, 40)
		b.random(10, 5)
		x, y := b.add(false), b.add(false)
		y.addr = x.addr
		b.start(y)
		b.connect(x, b.nodes[0])
		b.run(4 * time.Second)
		if common {
			b.connect(y, b.nodes[0])
		} else {
			b.connect(y, b.nodes[5])
		}
		b.run(3 * time.Minute)
		sent := b.sent
		if !x.m.(*State).Collision() || !y.m.(*State).Collision() {
			t.Error("collision not noticed")
		}
		b.run(time.Minute)
		if n := b.sent - sent; n > 5000 {
			t.Errorf("%d packets in a minute", n)
		}
	}
}

// Times with which links age out before they are announced again (LS-15).
func TestTimeoutBelowUpdate(t *testing.T) {
	b := newBus(t, 50)
	b.cfg.Update, b.cfg.Timeout = 30*time.Second, 10*time.Second
	b.random(5, 2)
	for range 20 {
		b.run(7 * time.Second)
		b.settled("with such times")
	}
}

// The wall clock may be set (LS-17): times are differences of a monotonic clock.
func TestWallClockStep(t *testing.T) {
	s := New(Config{Self: self})
	now := time.Now()
	s.LinkUp(now, 1)
	s.Receive(now, 1, nil)
	now = now.Add(time.Second)
	before := s.now
	s.Tick(now)
	if got := s.now - before; got != time.Second {
		t.Errorf("%v went by, want 1 s", got)
	}
	// Time that runs back is no time.
	s.Tick(now.Add(-time.Hour))
	if s.now-before != time.Second {
		t.Errorf("time ran back to %v", s.now)
	}
}
