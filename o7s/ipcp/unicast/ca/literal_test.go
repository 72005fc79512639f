// SPDX-License-Identifier: BSD-3-Clause

package ca

// literal is the sender's law of spec 20 §7.3, word by word.
type literal struct {
	shift                     uint
	window, step, slot, bytes int64
	packets, since            int
	level                     int64
	avoid                     bool
}

func newLiteral() *literal {
	return &literal{shift: firstShift, window: firstWindow, step: firstStep}
}

func (l *literal) update(_ int64, ece uint16) { l.level, l.since, l.avoid = int64(ece), 0, true }

// send sends a packet after another; each of them is asked for by the law.
func (l *literal) send(now int64, size int) (packets int, delay int64) {
	s := now >> l.shift
	l.since++
	l.packets++
	l.bytes += int64(size)
	if l.since > markLife {
		l.level = 0
	}
	if s > l.slot {
		l.turn(s)
	}
	if l.bytes > l.window {
		return 1, min((l.slot+1)<<l.shift-now, maxDelay)
	}
	return 1, 0
}

func (l *literal) turn(s int64) {
	l.slot = s
	switch {
	case !l.avoid && l.bytes > l.window:
		l.window *= 2
	case !l.avoid:
	case l.level > 0:
		l.window -= l.window * l.level / levelUnit
	default:
		l.window = l.bytes + l.step
	}
	f, keep := uint(0), false
	switch {
	case l.packets < least:
		for l.packets<<f < least {
			f++
		}
		l.shift += f
		l.slot >>= f
		if l.slot&(1<<f-1) == 0 {
			keep = true
			l.slot++
		}
		l.window <<= f
		l.step <<= f
	case l.packets > most:
		for l.packets>>f > most {
			f++
		}
		l.shift -= f
		l.slot <<= f
		l.window >>= f
		l.step >>= f
	}
	if !keep {
		l.bytes, l.packets = 0, 0
	}
}
