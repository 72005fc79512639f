// SPDX-License-Identifier: BSD-3-Clause

package ca

import (
	"math"
	"time"
)

// Numbers of the prototype's law (spec 20 §7.3).
const (
	firstShift  = 24      // first slot: 2^24 ns, 16.8 ms
	firstWindow = 1 << 16 // bytes in the first slot: 3.9 MB/s
	firstStep   = 1 << 16 // additive increase in bytes per first slot
	least, most = 8, 64   // packets in a slot, between which its length is kept
	markLife    = 32      // packets after which a report has expired
	levelUnit   = 8192    // a level of this would take the whole window
)

// Ours.
const (
	// minShift ends the shortening of slots, at 131 µs: shorter ones would
	// end within a batch and in front of every timer. A slot that has more
	// than most packets all the same counts as several.
	minShift = 17
	// maxShift ends the lengthening, at 1.07 s.
	maxShift = 30
	// maxUnits bounds what a slot may count for.
	maxUnits = 64
	// markTime is how long a report is valid at least: a receiver that takes
	// packets in batches reports only once in each. One of a long queue, where
	// packets may be lost and then are not reported, is valid for longLife more for each
	// unit above longLevel.
	markTime  = int64(time.Millisecond)
	longLevel = 256
	longLife  = int64(64 * time.Microsecond)
	// startWait is the longest wait in slow start of a flow that could use
	// twice its rate.
	startWait = int64(4 * time.Millisecond)
	// lowShare and lowGain: a flow whose window is below lowShare/level steps has
	// little to do with the congestion. It gains 1/lowGain of a step instead of
	// losing, else it would get nothing beside faster ones, which see more of the
	// unmarked moments. At a level of 256 that begins below 1 MB/s.
	lowShare = 64
	lowGain  = 16
	// burst is how many packets leave at once in avoidance: less than a mark.
	burst = 8
	// maxCarry is how much of the past a flow that had to wait may catch up
	// with, when its timer was late.
	maxCarry = 20 // 2^20 ns
	// maxDelay is the longest wait.
	maxDelay = int64(time.Second)

	maxWindow = 1 << 32 // bytes; its product with a slot does not overflow
)

// Sender limits the rate of a flow. Time is cut into slots of 2^shift ns, in
// each of which window bytes may be sent; what exceeds them waits for the next
// slot. At the end of a slot the window is adapted:
//
//	slow start ──first Update──▶ avoidance, for good
//
//	slow start:               window doubles if it was used up
//	avoidance, level above 0: window shrinks by level/8192
//	avoidance, level 0:       window becomes what was sent, and a step more
//
// A prototype behaves like that. Where it hurts, ours differs (spec 20 §13.2
// CA-3, and batches):
//
//   - without congestion the window of a flow that sends less than it may is
//     kept; what shrinks in congestion is what the prototype's would be.
//   - slots do not get longer because a flow has little to send, only because
//     it may send little, so a burst after silence does not wait for a second.
//   - slots get no shorter than 2^minShift ns, see there.
//   - slow start does not wait for the end of a slot of which it used the first
//     half only.
//   - in avoidance the bytes of a slot are spread over it, since a burst makes the
//     queue that it is then punished for.
type Sender struct {
	on      bool
	avoid   bool  // avoidance, not slow start
	shift   uint8 // m: log2 of the length of a slot in ns
	start   int64 // of this slot
	window  int64 // W: bytes that may be sent in a slot
	step    int64 // I: bytes by which it grows
	carry   int64 // bytes that may be sent in this slot beyond those
	bytes   int64 // b: sent in this slot
	packets int   // p: of those
	earlier int   // packets of slots before, too few for an adaptation
	limited bool  // the flow had to wait in this slot
	level   int64 // X: as last reported
	since   int   // c: packets since the report
	heard   int64 // when the report came
}

func (s *Sender) init(p Policy, now int64) {
	*s = Sender{
		on: p == MBECN, shift: firstShift, start: now,
		window: firstWindow, step: firstStep,
	}
}

// Room returns how many bytes may be sent now such that Sent answers without
// a delay. The one packet more that crosses the limit is to be counted as
// sent too.
func (s *Sender) Room(now int64) int64 {
	switch {
	case !s.on:
		return math.MaxInt64
	case now >= s.end():
		return s.window
	}
	return s.allowed(now) - s.bytes
}

// allowed returns how many bytes may have been sent in this slot by now. In
// avoidance they come evenly, so that a slot's worth of packets does not make
// the queue of which marks tell.
func (s *Sender) allowed(now int64) int64 {
	if !s.avoid {
		return s.window + s.carry
	}
	return min(s.window, s.burst()+s.window*max(now-s.start, 0)>>s.shift) + s.carry
}

// burst returns how many bytes may be sent at once.
func (s *Sender) burst() int64 {
	return max(s.bytes*burst/int64(max(s.packets, 1)), s.window<<minShift>>s.shift)
}

// Sent takes note of n packets, n at least 1, with together that many bytes,
// that are sent now, and returns for how many nanoseconds nothing more shall
// be sent.
func (s *Sender) Sent(now int64, n, bytes int) (delay int64) {
	if !s.on {
		return 0
	}
	if s.since >= markLife && now-s.heard >= markTime+max(s.level-longLevel, 0)*longLife {
		s.level = 0
	}
	s.since = min(s.since+n, math.MaxInt32)
	if now >= s.end() {
		// The packet that opens a slot counts in the old one.
		first := bytes / n
		s.packets++
		s.bytes += int64(first)
		s.turn(now)
		n, bytes = n-1, bytes-first
	}
	s.packets += n
	s.bytes += int64(bytes)
	if s.shift > firstShift && s.packets > most {
		// A slot that was lengthened for few packets got many: it ends now.
		s.shorten(firstShift)
		s.begin(now, 0)
	}
	return s.wait(now)
}

// wait returns the delay until more may be sent.
func (s *Sender) wait(now int64) int64 {
	over := s.bytes - s.allowed(now)
	if over <= 0 {
		return 0
	}
	s.limited = true
	delay := s.end() - now
	if s.avoid {
		return max(min(delay, over<<s.shift/s.window, maxDelay), 1)
	}
	if delay > 1<<s.shift/2 && delay > startWait {
		window := s.window
		s.rescale(-1)
		s.window = window // twice the rate
		s.begin(now, 0)
		return startWait
	}
	return min(delay, maxDelay)
}

// end returns when the slot ends.
func (s *Sender) end() int64 { return s.start + 1<<s.shift }

// turn ends a slot.
func (s *Sender) turn(now int64) {
	limited := s.limited
	if n := s.earlier + s.packets; !limited && n < least {
		// Too few packets for a judgement: it waits for more of them.
		s.begin(now, 0)
		s.earlier = n
		return
	}
	elapsed := (now - s.start) >> s.shift
	s.adapt()
	if limited && s.packets < least {
		s.lengthen()
	} else {
		s.shorten(minShift)
	}
	if !limited {
		s.begin(now, 0)
		return
	}
	// It waited for this very moment; or for an earlier one, and catches up.
	s.begin(s.start+(now-s.start)>>s.shift<<s.shift, min(elapsed-1, 1<<maxCarry>>s.shift)*s.window)
}

// adapt finds the window of the next slot by what happened in this one.
func (s *Sender) adapt() {
	units := int64(1)
	if s.shift <= minShift {
		units = int64(min(max(s.packets/most, 1), maxUnits))
	}
	sent := min(s.bytes, s.window) + s.step*units
	switch {
	case !s.avoid && s.limited:
		s.window *= 2
	case !s.avoid:
	case s.level > 0 && s.window*s.level < s.step*lowShare:
		s.window += min(s.step/lowGain, s.window/2+1)
	case s.level > 0:
		// Not from a window that was never used.
		s.window = min(s.window, sent)
		s.window -= s.window * min(s.level*units, levelUnit/2) / levelUnit
	default:
		s.window = max(s.window, sent)
	}
	s.window = min(max(s.window, 1), maxWindow)
}

// begin begins a slot, in which carry bytes more than the window may be sent.
func (s *Sender) begin(start, carry int64) {
	s.start, s.carry = start, carry
	s.bytes, s.packets, s.earlier, s.limited = 0, 0, 0, false
}

// shorten makes slots shorter so that most packets of those counted fit, but
// no shorter than 2^to ns.
func (s *Sender) shorten(to uint8) {
	by := 0
	for s.packets>>by > most && s.shift-uint8(by) > to {
		by++
	}
	s.rescale(-by)
}

// lengthen makes slots so long that they hold least packets of those counted.
func (s *Sender) lengthen() {
	by := 0
	for s.packets<<by < least && s.shift+uint8(by) < maxShift {
		by++
	}
	s.rescale(by)
}

// rescale makes slots 2^by times as long, at the same rate.
func (s *Sender) rescale(by int) {
	if by >= 0 {
		s.window = min(s.window<<by, maxWindow)
		s.step <<= by
	} else {
		s.window = max(s.window>>-by, 1)
		s.step = max(s.step>>-by, 1)
	}
	s.shift = uint8(int(s.shift) + by)
}

// Update takes note of a report of the peer.
func (s *Sender) Update(now int64, ece uint16) {
	s.level, s.since, s.heard = int64(ece), 0, now
	s.avoid = true
}
