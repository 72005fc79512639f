// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// finishing closes both ends when their applications have written all, and
// returns a condition: neither needs to be driven any more.
func finishing(w *bus, a, b *Endpoint) func() bool {
	done := [2]bool{}
	return func() bool {
		for i, n := range []*node{w.a, w.b} {
			if e := [2]*Endpoint{a, b}[i]; n.write == 0 && !done[i] {
				done[i] = true
				e.Finish(w.now)
				w.turn(n)
			}
		}
		return done[0] && done[1] && !a.Lingering() && !b.Lingering()
	}
}

// Whatever the path does, both read all that the other wrote before it finished,
// and then the end.
func TestBothFinishAtOnce(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		a, b := ours(rng, nil)
		l := path{delay: time.Duration(rng.IntN(50)) * time.Millisecond, loss: float64(rng.IntN(31)) / 100}
		w := newBus(t, seed, a, b, l, l)
		w.a.write, w.b.write = rng.IntN(50), rng.IntN(50)
		if !w.run(10*time.Minute, finishing(w, a, b)) {
			t.Fatalf("seed %d: a %v %s\nb %v %s", seed, a.Lingering(), describe(a), b.Lingering(), describe(b))
		}
		if a.Err() != nil || b.Err() != nil || !a.EOF() || !b.EOF() || !w.delivered() {
			t.Fatalf("seed %d: EOF %v %v, %v %v, read %d of %d, %d of %d", seed, a.EOF(), b.EOF(), a.Err(), b.Err(), w.a.got, w.b.written, w.b.got, w.a.written)
		}
		if write(a, w.now, "late") != 0 {
			t.Fatal("takes packets after Finish")
		}
	}
}

// One end finishes, the other goes on writing.
func TestHalfClose(t *testing.T) {
	a, b := ours(rand.New(rand.NewPCG(1, 7)), nil)
	l := path{delay: 5 * time.Millisecond, loss: 0.1}
	w := newBus(t, 1, a, b, l, l)
	w.a.write = 100
	w.mustDeliver(time.Minute)
	a.Finish(w.now)
	if !w.run(time.Minute, b.EOF) {
		t.Fatal("no end")
	}
	w.b.write = 5000
	w.mustDeliver(time.Minute)
	if a.EOF() {
		t.Fatal("an end that nobody made")
	}
	b.Finish(w.now)
	if !w.run(time.Minute, func() bool { return a.EOF() && !a.Lingering() && !b.Lingering() }) {
		t.Fatal("lingers")
	}
}

// Toward a prototype nothing is said, and everything is delivered.
func TestFinishWithPrototype(t *testing.T) {
	e, p := plain(true, 1), newPrototype(1, true)
	l := path{delay: 5 * time.Millisecond, loss: 0.05}
	w := newBus(t, 1, e, p, l, l)
	w.a.write = 500
	finished := false
	if !w.run(time.Minute, func() bool {
		if w.a.write == 0 && !finished {
			finished = true
			e.Finish(w.now)
		}
		return finished && !e.Lingering()
	}) {
		t.Fatal(describe(e))
	}
	if w.b.got != 500 {
		t.Errorf("read %d of 500", w.b.got)
	}
}

// A peer that is gone is an error at both ends, after R and no sooner.
func TestPeerGone(t *testing.T) {
	for _, extended := range []bool{true, false} {
		a, b := ours(rand.New(rand.NewPCG(1, 7)), nil)
		if !extended {
			a, b = plain(true, 1), plain(true, 2)
		}
		l := path{delay: 5 * time.Millisecond}
		w := newBus(t, 1, a, b, l, l)
		w.a.write, w.b.write = 100, 100
		w.mustDeliver(time.Minute)
		cut := w.now
		w.a.out.loss, w.b.out.loss = 1, 1
		w.a.write, w.b.write = 10, 10
		if !w.run(10*time.Minute, func() bool { return a.Err() != nil && b.Err() != nil }) {
			t.Fatal("no error")
		}
		if took := w.now - cut; !errors.Is(a.Err(), ErrTimeout) || took < retransmitLimit || took > retransmitLimit+2*maxRTO {
			t.Errorf("%v after %v", a.Err(), took)
		}
		if a.Lingering() || a.Room() != 0 || len(drainAll(w.now, a)) != 0 {
			t.Error("still alive")
		}
		if _, set := a.Deadline(); set {
			t.Error("a deadline")
		}
		if w.a.out.carried > 1000 {
			t.Errorf("sent %d packets into the void", w.a.out.carried)
		}
	}
}

func TestCloseReleasesEverything(t *testing.T) {
	for _, reliable := range []bool{true, false} {
		now := time.Hour
		e := New(Config{Reliable: reliable, Extended: true, Initial: 1})
		write(e, now, "a", "b", "c")
		drainAll(now, e)
		write(e, now, "d")
		receive(e, now, raw(Header{Flags: DATA | DRF, Seq: 10}, "x"), raw(Header{Flags: DATA, Seq: 12}, "z"))
		e.Close()
		receive(e, now, raw(Header{Flags: DATA, Seq: 11}, "y"))
		if len(drainAll(now, e)) != 0 || write(e, now, "e") != 0 || e.Readable() != 0 {
			t.Error("not closed")
		}
		if _, set := e.Deadline(); set {
			t.Error("a deadline")
		}
		e.Close()
	}
}

// If only one side takes the other for one of ours, since somebody on the path
// removed an announcement, data flows all the same.
func TestOneSidedExtension(t *testing.T) {
	for _, loss := range []float64{0, 0.1} {
		a, _ := ours(rand.New(rand.NewPCG(1, 7)), nil)
		b := plain(true, 99)
		l := path{delay: 3 * time.Millisecond, loss: loss}
		w := newBus(t, 1, a, b, l, l)
		w.a.write, w.b.write = 2000, 2000
		w.mustDeliver(5 * time.Minute)
	}
}
