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
	// packets in batches reports only once in each.
	markTime = int64(time.Millisecond)
	// startWait is the longest wait in slow start of a flow that could use
	// twice its rate.
	startWait = int64(time.Millisecond)
	// maxCarry is how much of the past a flow that had to wait may catch up
	// with, when its timer was late.
	maxCarry = 20 // 2^20 ns
	// maxDelay is the longest wait.
	maxDelay = int64(time.Second)

	maxWindow = 1 << 40 // bytes; far from overflow
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
type Sender struct {
	on      bool
	avoid   bool  // avoidance, not slow start
	shift   uint8 // m: log2 of the length of a slot in ns
	slot    int64 // S: number of this slot, time >> shift
	window  int64 // W: bytes that may be sent in a slot
	step    int64 // I: bytes by which it grows
	bytes   int64 // b: sent in this slot; negative: may catch up
	packets int   // p: sent since the last adaptation
	level   int64 // X: as last reported
	since   int   // c: packets since the report
	heard   int64 // when the report came
}

func (s *Sender) init(p Policy, now int64) {
	*s = Sender{
		on: p == MBECN, shift: firstShift, slot: now >> firstShift,
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
	case now>>s.shift > s.slot:
		return s.window
	}
	return s.window - s.bytes
}

// Sent takes note of n packets, n at least 1, with together that many bytes,
// that are sent now, and returns for how many nanoseconds nothing more shall
// be sent.
func (s *Sender) Sent(now int64, n, bytes int) (delay int64) {
	if !s.on {
		return 0
	}
	if s.since >= markLife && now-s.heard >= markTime {
		s.level = 0
	}
	s.since = min(s.since+n, math.MaxInt32)
	if slot := now >> s.shift; slot > s.slot {
		// The packet that opens a slot counts in the old one.
		first := bytes / n
		s.packets++
		s.bytes += int64(first)
		s.turn(now, slot-s.slot)
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
	if s.bytes <= s.window {
		return 0
	}
	delay := (s.slot+1)<<s.shift - now
	if !s.avoid && delay > 1<<s.shift/2 && delay > startWait {
		window := s.window
		s.rescale(-1)
		s.window = window // twice the rate
		s.begin(now, 0)
		return startWait
	}
	return min(delay, maxDelay)
}

// turn ends a slot; elapsed is how many have passed since it began.
func (s *Sender) turn(now, elapsed int64) {
	limited := s.bytes > s.window
	if !limited && s.packets < least {
		// Too few packets for a judgement: it waits for more of them.
		s.slot, s.bytes = now>>s.shift, 0
		return
	}
	s.adapt(limited)
	if s.packets < least {
		s.lengthen()
	} else {
		s.shorten(minShift)
	}
	var carry int64
	if limited {
		carry = min(elapsed-1, 1<<maxCarry>>s.shift) * s.window
	}
	s.begin(now, carry)
}

// adapt finds the window of the next slot by what happened in this one.
func (s *Sender) adapt(limited bool) {
	units := int64(1)
	if s.shift <= minShift {
		units = int64(min(max(s.packets/most, 1), maxUnits))
	}
	sent := s.bytes + s.step*units
	switch {
	case !s.avoid && limited:
		s.window *= 2
	case !s.avoid:
	case s.level > 0:
		// Not from a window that was never used.
		s.window = min(s.window, sent)
		s.window -= s.window * min(s.level*units, levelUnit/2) / levelUnit
	default:
		s.window = max(s.window, sent)
	}
	s.window = min(max(s.window, 1), maxWindow)
}

// begin begins a slot at the present time, in which carry bytes more than the
// window may be sent.
func (s *Sender) begin(now, carry int64) {
	s.slot, s.bytes, s.packets = now>>s.shift, -carry, 0
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
