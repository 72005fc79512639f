// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Waking a sleeper costs 15 to 35 µs and two system calls; looking at the
// memory again costs 0.2 µs. So a call that waits looks for a while before it
// sleeps, but only while the recent waits of its direction were short: an
// idle flow must not burn a processor.
const (
	spinTime      = 50 * time.Microsecond
	shortWait     = 120 * time.Microsecond // a wait that a spin, and a quicker peer, could have saved
	maxVain       = 3                      // 7 sleeps between spins: enough for the scheduler to notice that two want one processor
	pausesPerLook = 8                      // 20 ns each; between 4 and 16 the round trip changes by less than its noise
)

// spinner decides about one direction of an End, under its lock. A sleep that
// was short turns spinning on, a spin in vain turns it off. The more spins were
// in vain in a row, the more sleeps it takes to turn it on again: if both
// processes share a processor, every spin is in vain, and what it waits for comes
// right after, so that the sleeps are short all the same.
type spinner struct {
	on    bool
	vain  int // spins in vain in a row
	holds int // short sleeps that do not count yet
}

// spinning counts the goroutines of the process that spin now. More than half of
// the processors would keep those from running for whom they wait.
var (
	spinning    atomic.Int32
	maxSpinning = int32(max(1, runtime.NumCPU()/2))
)

// spin waits a little for ready. It reports whether that came true.
func (s *spinner) spin(ready func() bool) bool {
	if !s.on || runtime.NumCPU() == 1 {
		return false
	}
	if spinning.Add(1) > maxSpinning {
		spinning.Add(-1)
		return false
	}
	defer spinning.Add(-1)
	var begin int64
	for i := 1; ; i++ {
		if ready() {
			s.vain = 0
			return true
		}
		// Not more often: each look takes the cache line from the writer,
		// who needs it back for the next packet.
		for range pausesPerLook {
			pause()
		}
		if i%8 == 0 { // reading the clock is dearer than looking
			switch t := now(); {
			case begin == 0:
				begin = t
			case t-begin > int64(spinTime):
				s.on = false
				s.vain = min(s.vain+1, maxVain)
				s.holds = 1<<s.vain - 1
				return false
			}
		}
	}
}

// slept learns from a sleep that lasted d nanoseconds.
func (s *spinner) slept(d int64) {
	switch {
	case d >= int64(shortWait):
	case s.holds > 0:
		s.holds--
	default:
		s.on = true
	}
}
