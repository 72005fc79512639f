// SPDX-License-Identifier: BSD-3-Clause

package crypt

// windowLen is by how many packets a packet may be late.
const windowLen = 1 << 13

// window remembers which counters have been seen, in the manner of RFC 6479:
// a ring of bits in which only whole words are cleared. The zero value is ready,
// and takes the first counter as it comes.
type window struct {
	begun bool
	last  uint64 // highest counter
	words [windowLen/64 + 1]uint64
}

// fresh reports whether the counter has not been seen, and is not too old to
// tell.
func (w *window) fresh(c uint64) bool {
	switch {
	case !w.begun || c > w.last:
		return true
	case w.last-c >= windowLen:
		return false
	}
	return w.words[w.word(c)]&(1<<(c%64)) == 0
}

// mark notes a fresh counter.
func (w *window) mark(c uint64) {
	if !w.begun {
		w.begun, w.last = true, c
	}
	if c > w.last {
		steps := min(c/64-w.last/64, uint64(len(w.words)))
		for i := uint64(1); i <= steps; i++ {
			w.words[(w.last/64+i)%uint64(len(w.words))] = 0
		}
		w.last = c
	}
	w.words[w.word(c)] |= 1 << (c % 64)
}

func (w *window) word(c uint64) int { return int(c / 64 % uint64(len(w.words))) }
