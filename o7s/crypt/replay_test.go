// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The window against one that remembers everything.
func TestWindow(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		var w window
		seen := map[uint64]bool{}
		at := random.Uint64() >> random.IntN(64)
		var last uint64
		for range 5000 {
			var c uint64
			switch random.IntN(8) {
			case 0: // far back
				c = at - random.Uint64N(3*windowLen)
			case 1: // far ahead
				if at < math.MaxUint64-4*windowLen {
					at += random.Uint64N(3 * windowLen)
				}
				c = at
			case 2: // around the end of the window
				c = last - windowLen + random.Uint64N(5) - 2
			case 3, 4: // a little late, or a repeat
				c = at - random.Uint64N(100)
			default:
				if at < math.MaxUint64 {
					at++
				}
				c = at
			}
			want := !seen[c] && (len(seen) == 0 || c > last || last-c < windowLen)
			if got := w.fresh(c); got != want {
				t.Fatalf("seed %d: fresh(%d) = %v, last %d", seed, c, got, last)
			}
			if !want || random.IntN(10) == 0 { // some are forged
				continue
			}
			w.mark(c)
			if len(seen) == 0 || c > last {
				last = c
			}
			seen[c] = true
			if w.fresh(c) {
				t.Fatalf("seed %d: %d is fresh still", seed, c)
			}
		}
	}
}
