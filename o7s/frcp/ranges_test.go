// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRanges compares the set with a map, around the wrap of the numbers.
func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint32{0, 1 << 31, 0xffffffe0}).Draw(t, "base")
		var s ranges
		oracle := map[uint32]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			first := base + rapid.Uint32Range(0, 120).Draw(t, "first")
			if rapid.IntRange(0, 9).Draw(t, "trim") == 0 {
				s.trim(first)
				for seq := range oracle {
					if before(seq, first) {
						delete(oracle, seq)
					}
				}
			} else {
				end := first + rapid.Uint32Range(1, 20).Draw(t, "length")
				fresh := map[uint32]bool{}
				s.add(first, end, func(a, b uint32) {
					for ; a != b; a++ {
						if fresh[a] || oracle[a] {
							t.Fatalf("%d reported again", a)
						}
						fresh[a] = true
					}
				})
				for ; first != end; first++ {
					if !oracle[first] && !fresh[first] {
						t.Fatalf("%d not reported", first)
					}
					delete(fresh, first)
					oracle[first] = true
				}
				if len(fresh) > 0 {
					t.Fatalf("reported outside: %v", fresh)
				}
			}
			some := base + rapid.Uint32Range(0, 140).Draw(t, "some")
			if b, ok := s.find(some); ok != oracle[some] || ok && (before(some, b.first) || !before(some, b.end)) {
				t.Fatalf("find %d: %v %v", some, b, ok)
			}
			count := 0
			for i, b := range s.list {
				if i > 0 && !before(s.list[i-1].end, b.first) {
					t.Fatalf("not apart: %v", s.list)
				}
				for seq := b.first; seq != b.end; seq++ {
					count++
					if !oracle[seq] {
						t.Fatalf("%d is not in the set", seq)
					}
				}
			}
			if count != len(oracle) {
				t.Fatalf("%d numbers, want %d", count, len(oracle))
			}
		}
	})
}

// TestMaxFilter compares with the largest value of the window: never above,
// and never without a value from within it.
func TestMaxFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := maxFilter{length: 10}
		var values []float64
		for round := range uint64(200) {
			v := rapid.Float64Range(1, 100).Draw(t, "value")
			values = append(values, v)
			f.update(round, v)
			window := values[max(0, len(values)-11):]
			largest, found := 0.0, false
			for _, x := range window {
				largest = max(largest, x)
				found = found || x == f.value()
			}
			if f.value() > largest || !found {
				t.Fatalf("round %d: %v, window %v", round, f.value(), window)
			}
		}
	})
}
