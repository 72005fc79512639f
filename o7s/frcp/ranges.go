// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "sort"

// ranges is a set of sequence numbers as disjoint blocks that do not touch, in
// order. All numbers lie within half the number space of each other.
type ranges struct{ list []block }

func (s *ranges) empty() bool { return len(s.list) == 0 }

// add adds first up to but not including end. It reports each part that was
// not in the set to fresh, which may be nil.
func (s *ranges) add(first, end uint32, fresh func(first, end uint32)) {
	if fresh == nil {
		fresh = func(uint32, uint32) {}
	}
	n := len(s.list)
	// The usual case: at or behind the last block.
	if n > 0 && s.list[n-1].end == first {
		s.list[n-1].end = end
		fresh(first, end)
		return
	}
	if n == 0 || before(s.list[n-1].end, first) {
		s.list = append(s.list, block{first, end})
		fresh(first, end)
		return
	}
	// i is the first block that ends at or behind first: it touches or follows.
	i := sort.Search(n, func(i int) bool { return !before(s.list[i].end, first) })
	merged := block{first, end}
	j := i
	at := first
	for ; j < n && !before(end, s.list[j].first); j++ {
		b := s.list[j]
		if before(at, b.first) {
			fresh(at, b.first)
		}
		if before(at, b.end) {
			at = b.end
		}
		if before(b.first, merged.first) {
			merged.first = b.first
		}
		if before(merged.end, b.end) {
			merged.end = b.end
		}
	}
	if before(at, end) {
		fresh(at, end)
	}
	if i == j {
		s.list = append(s.list, block{})
		copy(s.list[i+1:], s.list[i:])
		s.list[i] = merged
		return
	}
	s.list[i] = merged
	s.list = append(s.list[:i+1], s.list[j:]...)
}

// find returns the block that holds seq.
func (s *ranges) find(seq uint32) (block, bool) {
	i := sort.Search(len(s.list), func(i int) bool { return before(seq, s.list[i].end) })
	if i == len(s.list) || before(seq, s.list[i].first) {
		return block{}, false
	}
	return s.list[i], true
}

// trim removes all numbers before seq.
func (s *ranges) trim(seq uint32) {
	i := 0
	for i < len(s.list) && !before(seq, s.list[i].end) {
		i++
	}
	if i > 0 {
		s.list = append(s.list[:0], s.list[i:]...)
	}
	if len(s.list) > 0 && before(s.list[0].first, seq) {
		s.list[0].first = seq
	}
}

// top returns the end of the last block.
func (s *ranges) top() uint32 { return s.list[len(s.list)-1].end }
