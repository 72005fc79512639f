// SPDX-License-Identifier: BSD-3-Clause

package frcp

// maxFilter keeps about the largest value of the last length rounds, in three
// samples (Kathleen Nichols' windowed filter, as Linux has it).
type maxFilter struct {
	length uint64
	best   [3]struct {
		round uint64
		value float64
	}
}

func (f *maxFilter) value() float64 { return f.best[0].value }

func (f *maxFilter) update(round uint64, value float64) {
	b := &f.best
	s := struct {
		round uint64
		value float64
	}{round, value}
	if value >= b[0].value || round-b[2].round > f.length {
		b[0], b[1], b[2] = s, s, s
		return
	}
	if value >= b[1].value {
		b[1], b[2] = s, s
	} else if value >= b[2].value {
		b[2] = s
	}
	age := round - b[0].round
	switch {
	case age > f.length: // the best is too old: the others move up
		b[0], b[1], b[2] = b[1], b[2], s
		if round-b[0].round > f.length {
			b[0], b[1] = b[1], b[2]
		}
	case b[1].round == b[0].round && age > f.length/4:
		b[1], b[2] = s, s // a quarter passed without a second best
	case b[2].round == b[1].round && age > f.length/2:
		b[2] = s
	}
}
