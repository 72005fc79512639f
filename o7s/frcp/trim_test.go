// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestTrim: memory that is taken away at any time changes nothing but the memory.
func TestTrim(t *testing.T) {
	p := path{
		delay: 20 * time.Millisecond, jitter: 10 * time.Millisecond, loss: 0.05, burst: 3,
		duplicate: 0.05, reorder: 0.05, late: 30 * time.Millisecond, rate: 100 * mbit, queue: 500000,
	}
	for _, cc := range []func() Congestion{nil, bbr} {
		var took [2]time.Duration
		var stats [2][2]Stats
		for i, trims := range []bool{false, true} {
			a, b := ours(rand.New(rand.NewPCG(7, 2)), cc)
			w := newBus(t, 7, a, b, p, p)
			w.trims = trims
			w.a.write, w.b.write = 3000, 500
			took[i] = w.mustDeliver(10 * time.Minute)
			stats[i] = [2]Stats{a.Stats(), b.Stats()}
			if !trims && len(a.snd.ring) < 64 {
				t.Errorf("room for %d packets was enough", len(a.snd.ring))
			}
			w.run(time.Minute, a.Flushed)
			a.Trim()
			b.Trim()
			for _, e := range []*Endpoint{a, b} {
				if n := len(e.snd.ring) + len(e.rcv.unread.ring) + len(e.rcv.slots); n != 0 {
					t.Errorf("room for %d packets is left", n)
				}
			}
		}
		if took[0] != took[1] || stats[0] != stats[1] {
			t.Errorf("%v %+v without, %v %+v with", took[0], stats[0], took[1], stats[1])
		}
	}
}
