// SPDX-License-Identifier: BSD-3-Clause

package pff

import (
	"math/bits"
	"math/rand/v2"
)

// fib is an immutable table of look-ups: open addressing with linear probing,
// at most half full.
type fib[H comparable] struct {
	slots   []slot[H] // a power of two
	choices []choice[H]
	// factor is a random odd number and shift keeps the top bits of the
	// product, so that nobody can choose addresses that fall together.
	factor uint64
	shift  uint8
	used   int
}

// slot is a destination; count is 0 if the slot is free.
type slot[H comparable] struct {
	dst         uint64
	hop         H      // the only one, if count is 1
	from, count uint32 // in choices, if count is more
}

// choice is one of several hops of a destination.
type choice[H comparable] struct {
	hop  H
	salt uint64
}

// build makes a table for up to n destinations, which fill adds.
func build[H comparable](n int, fill func(add func(dst uint64, hops []choice[H]))) *fib[H] {
	log := bits.Len(uint(2*n)) + 1
	f := &fib[H]{slots: make([]slot[H], 1<<log), factor: rand.Uint64() | 1, shift: uint8(64 - log)}
	if fill != nil {
		fill(f.add)
	}
	return f
}

// add enters a destination that is not there yet.
func (f *fib[H]) add(dst uint64, hops []choice[H]) {
	s := f.find(dst)
	*s = slot[H]{dst: dst, hop: hops[0].hop, count: uint32(len(hops))}
	if len(hops) > 1 {
		s.from = uint32(len(f.choices))
		f.choices = append(f.choices, hops...)
	}
	f.used++
}

// find returns the slot of a destination, or the free one where it belongs.
func (f *fib[H]) find(dst uint64) *slot[H] {
	mask := uint64(len(f.slots) - 1)
	for i := dst * f.factor >> f.shift; ; i++ {
		s := &f.slots[i&mask]
		if s.count == 0 || s.dst == dst {
			return s
		}
	}
}

func (f *fib[H]) lookup(dst, flow uint64) (h H, ok bool) {
	s := f.find(dst)
	if s.count < 2 {
		return s.hop, s.count == 1
	}
	// The hop with the highest weight: when one goes, only its flows move
	// (rendezvous hashing).
	key := mix(dst, flow)
	var best uint64
	for i := range f.choices[s.from : s.from+s.count] {
		c := &f.choices[s.from+uint32(i)]
		if w := mix(key, c.salt); w >= best {
			best, h = w, c.hop
		}
	}
	return h, true
}

// mix is a hash of two numbers: multiplications folded to 64 bits. It is the
// same on every run, so that simulations are.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	hi, lo = bits.Mul64(hi^lo^a, 0xe7037ed1a0b428db)
	return hi ^ lo
}
