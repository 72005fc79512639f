// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"math"
	"time"
)

// BBR is congestion control by a model of the path, in the manner of BBR version 1
// (draft-cardwell-iccrg-bbr-congestion-control): the largest delivery rate of the
// last ten rounds and the smallest round-trip time of the last ten seconds. Packets leave at
// that rate, and about twice the product of both may be under way. A
// loss by itself changes nothing, so random losses do not make it collapse.
//
//	startup ──rate no longer grows──▶ drain ──▶ probing: 8 round-trip times of
//	                                            pace 1.25, 0.75, 1, 1, 1, 1, 1, 1
//	                                    ▲           │ smallest time 10 s old
//	                                    │           ▼
//	                                    └──── low: half as much under way for 200 ms
//
// The zero value is not usable; see NewBBR.
type BBR struct {
	segment float64 // bytes of a usual packet, smoothed

	rate     maxFilter // bytes per second by round
	round    uint64
	roundEnd uint64 // delivered bytes at which the round ends

	minRTT   time.Duration
	minRTTAt time.Duration

	mode     bbrMode
	gain     float64 // of the pace
	width    float64 // of the window
	full     float64 // rate at which startup was last seen growing
	plateau  int     // rounds without growth
	isFull   bool
	phase    int
	phaseAt  time.Duration
	lowUntil time.Duration
	lost     int // bytes in this phase

	window int
	pace   float64
}

type bbrMode uint8

const (
	startup bbrMode = iota
	drain
	probing
	low
)

const (
	startupGain = 2.885 // 2/ln 2: doubles the rate in each round
	windowGain  = 2
	rateRounds  = 10
	lowTime     = 200 * time.Millisecond
	// startPackets is the first window.
	startPackets = 32
	// leastPackets may always be under way, and half of them leave in each
	// round-trip time: a model that knows too little must not stop the flow.
	leastPackets = 8
	// windowSlack is how much time at full rate is added to the window, for timers and
	// readers that are late and bring acknowledgements in lumps.
	windowSlack = time.Millisecond
)

var bbrGains = [8]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

var _ Congestion = (*BBR)(nil)

// NewBBR returns a BBR for packets of up to mtu bytes.
func NewBBR(mtu int) *BBR {
	return &BBR{
		segment: float64(mtu), rate: maxFilter{length: rateRounds},
		gain: startupGain, width: startupGain, window: startPackets * mtu,
		minRTT: math.MaxInt64,
	}
}

// Window returns how many bytes may be under way.
func (c *BBR) Window() int { return c.window }

// Rate returns the pace in bytes per second, 0 until the first measurement.
func (c *BBR) Rate() float64 { return c.pace }

// Sent learns the size of packets.
func (c *BBR) Sent(_ time.Duration, size, _ int) {
	c.segment += (float64(size) - c.segment) / 64
}

// Lost counts, for the end of a phase of more pace.
func (c *BBR) Lost(_ time.Duration, size int) { c.lost += size }

// Timeout changes nothing: the Endpoint feels its way by itself until the path
// answers, and the model then still holds, or is soon replaced.
func (c *BBR) Timeout(time.Duration) {}

// bdp returns the bytes that fill the path.
func (c *BBR) bdp() float64 { return c.rate.value() * c.minRTT.Seconds() }

// Acked updates the model.
func (c *BBR) Acked(now time.Duration, s Sample) {
	newRound := s.Prior >= c.roundEnd
	if newRound {
		c.roundEnd = s.Delivered
		c.round++
	}
	if s.Rate > 0 && (!s.Limited || s.Rate >= c.rate.value()) {
		c.rate.update(c.round, s.Rate)
	}
	expired := c.minRTT != math.MaxInt64 && now-c.minRTTAt > minRTTLife
	if s.RTT > 0 && (s.RTT <= c.minRTT || expired && c.mode == low) {
		c.minRTT, c.minRTTAt = s.RTT, now
	}
	if c.rate.value() == 0 || c.minRTT == math.MaxInt64 {
		c.window += s.Acked
		return
	}
	if newRound && !s.Limited {
		c.checkFull()
	}
	c.move(now, &s, expired)
	c.set(&s)
}

// checkFull ends startup when the rate has not grown by a quarter in three rounds.
func (c *BBR) checkFull() {
	if c.isFull {
		return
	}
	if c.rate.value() >= 1.25*c.full {
		c.full, c.plateau = c.rate.value(), 0
		return
	}
	c.plateau++
	c.isFull = c.plateau >= 3
}

// move changes between the modes.
func (c *BBR) move(now time.Duration, s *Sample, expired bool) {
	switch c.mode {
	case startup:
		if c.isFull {
			c.mode, c.gain, c.width = drain, 1/startupGain, startupGain
		}
	case drain:
		if float64(s.Flying) <= c.bdp() {
			c.probe(now, 2)
		}
	case probing:
		c.cycle(now, s)
	case low:
		if now >= c.lowUntil {
			c.minRTTAt = now
			if c.isFull {
				c.probe(now, 2)
			} else {
				c.mode, c.gain, c.width = startup, startupGain, startupGain
			}
		}
		return
	}
	if expired {
		c.mode, c.gain, c.width = low, 1, 0.5
		c.lowUntil = now + max(lowTime, c.minRTT)
	}
}

// probe enters the probing mode in a phase.
func (c *BBR) probe(now time.Duration, phase int) {
	c.mode, c.width = probing, windowGain
	c.phase, c.phaseAt, c.gain, c.lost = phase, now, bbrGains[phase], 0
}

// cycle goes to the next phase of probing when its time is over: that of more
// pace lasts until it has had an effect, that of less until it has undone it.
func (c *BBR) cycle(now time.Duration, s *Sample) {
	over := now-c.phaseAt > c.minRTT
	switch {
	case c.gain > 1:
		over = over && (float64(s.Flying) >= c.gain*c.bdp() || c.lost > 0)
	case c.gain < 1:
		over = over || float64(s.Flying) <= c.bdp()
	}
	if over {
		c.probe(now, (c.phase+1)%len(bbrGains))
	}
}

// set computes pace and window from the model.
func (c *BBR) set(s *Sample) {
	packets := float64(leastPackets) / 2
	if !c.isFull {
		packets = startPackets
	}
	pace := c.gain * max(c.rate.value(), packets*c.segment/c.minRTT.Seconds())
	if c.isFull || pace > c.pace {
		c.pace = pace
	}
	target := int(c.width*c.bdp() + c.rate.value()*windowSlack.Seconds())
	switch {
	case c.mode == low:
		c.window = target
	case c.isFull:
		c.window = min(c.window+s.Acked, target)
	case c.window < target || s.Delivered < uint64(startPackets*c.segment):
		c.window += s.Acked
	}
	c.window = max(c.window, int(leastPackets*c.segment))
}
