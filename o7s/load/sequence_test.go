// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func TestSequence(t *testing.T) {
	for _, c := range []struct {
		name                                      string
		numbers                                   []uint32
		received, lost, outOfOrder, again, expect uint64
	}{
		{name: "nothing"},
		{"in order", []uint32{0, 1, 2}, 3, 0, 0, 0, 3},
		{"gap", []uint32{0, 3}, 2, 2, 0, 0, 4},
		{"first missing", []uint32{2}, 1, 2, 0, 0, 3},
		{"late", []uint32{1, 0, 2}, 3, 0, 1, 0, 3},
		{"again", []uint32{0, 1, 1, 0, 2}, 3, 0, 0, 2, 3},
		{"late and again", []uint32{0, 2, 1, 1}, 3, 0, 1, 1, 3},
		{"far ahead", []uint32{0, 100000, 99999, 99999, 100000}, 3, 99998, 1, 2, 100001},
		{"behind the window", []uint32{20000, 5}, 2, 19999, 1, 0, 20001},
		{"below 0", []uint32{1<<32 - 1, 0}, 2, 0, 1, 0, 2},
	} {
		var s Sequence
		for _, n := range c.numbers {
			s.Add(n)
		}
		if s.Received != c.received || s.Lost() != c.lost || s.OutOfOrder != c.outOfOrder || s.Duplicates != c.again || s.Expected() != c.expect {
			t.Errorf("%s: received %d, lost %d, out of order %d, again %d, expected %d", c.name, s.Received, s.Lost(), s.OutOfOrder, s.Duplicates, s.Expected())
		}
	}
}

// Numbers wrap at 32 bits; a test may be longer.
func TestSequenceWraps(t *testing.T) {
	var s Sequence
	s.next = 1<<32 - 3
	s.Received = 1<<32 - 3
	for _, n := range []uint32{1<<32 - 3, 1<<32 - 2, 0, 1<<32 - 1, 2, 0} {
		s.Add(n)
	}
	if s.Expected() != 1<<32+3 || s.Lost() != 1 || s.OutOfOrder != 1 || s.Duplicates != 1 {
		t.Errorf("expected %d, lost %d, out of order %d, again %d", s.Expected(), s.Lost(), s.OutOfOrder, s.Duplicates)
	}
}

// A network that loses, repeats and displaces within the window is judged
// exactly; the oracle remembers everything.
func TestSequenceAgainstOracle(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	var s Sequence
	seen := map[uint32]bool{}
	var highest int64 = -1
	var outOfOrder, again uint64
	for n := range uint32(200000) {
		number := n
		switch r.IntN(20) {
		case 0, 1:
			continue // lost
		case 2:
			number = n - min(n, r.Uint32N(window/2)) // late, or again
		}
		switch {
		case seen[number]:
			again++
		case int64(number) < highest:
			outOfOrder++
		}
		seen[number] = true
		highest = max(highest, int64(number))
		s.Add(number)
	}
	got := [4]uint64{s.Received, s.Lost(), s.OutOfOrder, s.Duplicates}
	want := [4]uint64{uint64(len(seen)), uint64(highest+1) - uint64(len(seen)), outOfOrder, again}
	if got != want {
		t.Errorf("seed %d: received, lost, out of order, again: %d, want %d", seed, got, want)
	}
}

func FuzzSequence(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0x80})
	f.Fuzz(func(t *testing.T, p []byte) {
		var s Sequence
		var n uint64
		for ; len(p) >= 4; p = p[4:] {
			s.Add(binary.LittleEndian.Uint32(p))
			n++
		}
		if s.Received+s.Duplicates != n || s.OutOfOrder > s.Received || s.Expected() < s.Received || s.Lost() > s.Expected() {
			t.Fatalf("%d packets: %d received, %d again, %d out of order, %d expected", n, s.Received, s.Duplicates, s.OutOfOrder, s.Expected())
		}
	})
}

func BenchmarkSequence(b *testing.B) {
	var s Sequence
	for n := uint32(0); b.Loop(); n++ {
		s.Add(n)
	}
}
