// SPDX-License-Identifier: BSD-3-Clause

package ca

// updateEvery is how many marked packets share one report.
const updateEvery = 8

// Receiver averages the marks of the packets that arrive (spec 20 §7.3). All of it is
// bit-compatible: the other side may be a prototype.
type Receiver struct {
	on    bool
	level uint16 // R: 32 times the average mark
	count uint   // n: marked packets since the level was 0
}

// Received takes note of n packets in a row that came with the mark ecn.
// update is true if the sender has to be told of the level ece: what the last of the
// reports says that n single packets would have caused.
func (r *Receiver) Received(ecn uint8, n int) (ece uint16, update bool) {
	if !r.on || ecn == 0 && r.level == 0 {
		return 0, false
	}
	for ; n > 0; n-- {
		told := false
		switch {
		case ecn == 0:
			r.level /= 4
			told = r.level == 0
		case r.level == 0:
			r.level, r.count = uint16(ecn), 0
			told = true
		default:
			r.level += uint16(ecn) - r.level/32
			told = r.count%updateEvery == 1
			r.count++
		}
		if told {
			ece, update = r.level, true
		}
		if r.level == 0 {
			break // an unmarked packet, and then nothing changes any more
		}
	}
	return ece, update
}

// Marked reports whether the level is above 0: an unmarked packet matters.
func (r *Receiver) Marked() bool { return r.level != 0 }
