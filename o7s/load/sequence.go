// SPDX-License-Identifier: BSD-3-Clause

package load

// window is how far back, in packets, a repeated packet is known as one.
const window = 1 << 13

// Sequence judges the numbers of packets that arrive. They count from 0 and
// wrap at 32 bits. The zero value is ready.
type Sequence struct {
	next uint64 // one above the highest so far, without the wrap
	seen [window / 64]uint64

	Received   uint64 // without those that came again
	OutOfOrder uint64 // of these: after one with a higher number
	Duplicates uint64 // came again
}

// Add judges the next packet.
func (s *Sequence) Add(number uint32) {
	// The number nearest to the one expected is meant.
	ahead := int64(int32(number - uint32(s.next)))
	if ahead < 0 {
		s.late(uint64(-ahead))
		return
	}
	at := s.next + uint64(ahead)
	if ahead >= window {
		s.seen = [window / 64]uint64{}
	} else {
		for n := s.next; n < at; n++ {
			s.seen[n%window/64] &^= 1 << (n % 64)
		}
	}
	s.seen[at%window/64] |= 1 << (at % 64)
	s.next = at + 1
	s.Received++
}

// late judges a packet so many numbers behind the one expected.
func (s *Sequence) late(behind uint64) {
	if behind <= window && behind <= s.next {
		at := s.next - behind
		word, bit := &s.seen[at%window/64], uint64(1)<<(at%64)
		if *word&bit != 0 {
			s.Duplicates++
			return
		}
		*word |= bit
	}
	s.Received++
	s.OutOfOrder++
}

// Expected returns how many packets the peer must have sent.
func (s *Sequence) Expected() uint64 { return max(s.next, s.Received) }

// Lost returns how many of them are missing.
func (s *Sequence) Lost() uint64 { return s.Expected() - s.Received }
