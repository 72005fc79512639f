// SPDX-License-Identifier: BSD-3-Clause

package segment

// storm limits the frames of one port that go to all others: a token bucket
// that holds what half a second brings, but some frames at least. One
// goroutine at a time uses it.
type storm struct {
	tokens float64
	last   int64 // ns
	begun  bool
}

// minBurst is how many frames may follow each other at any rate: a host that
// comes up asks for its address, its neighbours and its services at once.
const minBurst = 32

// admit takes a token at the time now, in ns, of rate frames per second; false
// if there is none.
func (s *storm) admit(now int64, rate int) bool {
	burst := max(minBurst, float64(rate)/2)
	if !s.begun {
		s.begun, s.tokens, s.last = true, burst, now
	}
	if d := now - s.last; d > 0 {
		s.tokens = min(burst, s.tokens+float64(d)*float64(rate)/1e9)
		s.last = now
	}
	if s.tokens < 1 {
		return false
	}
	s.tokens--
	return true
}
