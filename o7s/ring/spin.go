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
	maxCredit     = 8
	pausesPerLook = 8 // 20 ns each; between 4 and 16 the round trip changes by less than its noise
)

// spinner decides about one direction of an End, under its lock.
type spinner struct {
	credit int // spins that may fail before the next sleep has to prove its worth
}

// spinning counts the goroutines of the process that spin now. More than half of
// the processors would keep those from running for whom they wait.
var (
	spinning    atomic.Int32
	maxSpinning = int32(max(1, runtime.NumCPU()/2))
)

// spin waits a little for ready. It reports whether that came true.
func (s *spinner) spin(ready func() bool) bool {
	if s.credit == 0 || runtime.NumCPU() == 1 {
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
			s.credit = min(s.credit+1, maxCredit)
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
				s.credit /= 2
				return false
			}
		}
	}
}

// slept learns from a sleep that lasted d nanoseconds.
func (s *spinner) slept(d int64) {
	if d < int64(shortWait) {
		s.credit = min(s.credit+2, maxCredit)
	}
}
