// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"math/rand/v2"
	"testing"
	"time"
)

// plain returns an Endpoint that takes its peer for a prototype.
func plain(reliable bool, initial uint32) *Endpoint {
	return New(Config{Reliable: reliable, Initial: initial, MPL: 100 * time.Millisecond})
}

func TestWithPrototype(t *testing.T) {
	for _, c := range []struct {
		name string
		p    path
	}{
		{"clean", path{delay: time.Millisecond}},
		{"fast", path{delay: 20 * time.Microsecond}},
		{"loss 5 %", path{delay: 5 * time.Millisecond, loss: 0.05}},
		{"loss 20 %", path{delay: 5 * time.Millisecond, loss: 0.20}},
		{"reordering", path{delay: 5 * time.Millisecond, reorder: 0.1, late: 10 * time.Millisecond}},
		{"duplicates", path{delay: 5 * time.Millisecond, duplicate: 0.2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(3) {
				e := plain(true, rand.New(rand.NewPCG(seed, 5)).Uint32())
				p := newPrototype(seed, true)
				w := newBus(t, seed, e, p, c.p, c.p)
				w.a.write, w.b.write = 1000, 1000
				if c.p.loss > 0.1 {
					w.b.write = 100 // its timeout doubles until it gives up (FR-12)
				}
				took := w.mustDeliver(10 * time.Minute)
				t.Logf("both ways: %v, we sent again %d, had duplicates %d", took, e.stats.Retransmitted, e.stats.Duplicates)

				for _, direction := range []string{"we send", "we receive"} {
					e := plain(true, rand.New(rand.NewPCG(seed, 6)).Uint32())
					p := newPrototype(seed, true)
					w := newBus(t, seed, e, p, c.p, c.p)
					if direction == "we send" {
						w.a.write = 1000
					} else {
						p.asks = false // must not depend on it
						w.b.write = 1000
						if c.p.loss > 0.1 {
							w.b.write = 200
						}
					}
					took := w.mustDeliver(10 * time.Minute)
					t.Logf("%s: %v, we sent again %d, had duplicates %d", direction, took, e.stats.Retransmitted, e.stats.Duplicates)
				}
			}
		})
	}
}

// An ordered-only flow in one direction goes on for ever (FR-2), also when
// the prototype writes and never asks, and window updates get lost.
func TestOrderedWithPrototype(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.3} {
		for _, weSend := range []bool{true, false} {
			e := plain(false, 0xffffff80)
			p := newPrototype(1, false)
			p.asks = false
			l := path{delay: 2 * time.Millisecond, loss: loss}
			w := newBus(t, 1, e, p, l, l)
			w.a.gap, w.b.gap = true, true
			from, to := w.a, w.b
			if !weSend {
				from, to = w.b, w.a
			}
			from.write = 8000
			took := w.now
			if !w.run(5*time.Minute, func() bool { return from.write == 0 && len(w.fly) == 0 }) {
				t.Fatalf("loss %v, we send %v: stuck with %d left: %s", loss, weSend, from.write, describe(w.a.m))
			}
			took = w.now - took
			lost := uint64(from.out.lost)
			t.Logf("loss %v, we send %v: %v, %d of 8000 arrived", loss, weSend, took, to.got)
			if to.got+lost+300 < 8000 {
				t.Errorf("loss %v, we send %v: read up to %d, lost %d", loss, weSend, to.got, lost)
			}
		}
	}
}
