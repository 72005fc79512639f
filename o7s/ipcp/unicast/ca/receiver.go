// SPDX-License-Identifier: BSD-3-Clause

package ca

// updateEvery is how many marked packets share one report.
const updateEvery = 8

// Receiver averages the marks of the packets that arrive (spec 20 §7.3). All of it is
// bit-compatible: the other side may be a prototype.
type Receiver struct {
	on bool
	r  uint16 // R: 32 times the average mark
	n  uint   // n: marked packets since the level was 0
}

// Received takes note of n packets in a row that came with the mark ecn.
// update is true if the sender has to be told of the level ece: what the last of the
// reports says that n single packets would have caused.
func (r *Receiver) Received(ecn uint8, n int) (ece uint16, update bool) {
	if !r.on || ecn == 0 && r.r == 0 {
		return 0, false
	}
	for ; n > 0; n-- {
		told := false
		switch {
		case ecn == 0:
			r.r /= 4
			told = r.r == 0
		case r.r == 0:
			r.r, r.n = uint16(ecn), 0
			told = true
		default:
			r.r += uint16(ecn) - r.r/32
			told = r.n%updateEvery == 1
			r.n++
		}
		if told {
			ece, update = r.r, true
		}
		if r.r == 0 {
			break // an unmarked packet, and then nothing changes any more
		}
	}
	return ece, update
}

// Marked reports whether the level is above 0: an unmarked packet matters.
func (r *Receiver) Marked() bool { return r.r != 0 }
