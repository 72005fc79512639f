// SPDX-License-Identifier: BSD-3-Clause

// Package spin decides whether a call that waits looks again for a while
// before it sleeps (DESIGN §3: a short adaptive spin).
//
// Keep a Spinner for each place that waits: ask Spin before a sleep, and tell
// Slept after it.
package spin

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// Waking a sleeper costs 15 to 40 µs and two system calls; looking at the
// memory again costs 0.2 µs. So a call that waits looks for a while before it
// sleeps, but only while the recent waits of its direction were short: an
// idle flow must not burn a processor. After the first looks it offers the
// processor to others between looks: who is waited for may want just this one.
const (
	spinTime      = 200 * time.Microsecond
	shortWait     = 250 * time.Microsecond // a wait that a spin, and a quicker peer, could have saved
	maxVain       = 3                      // 7 sleeps between spins: enough for the scheduler to notice that two want one processor
	eagerLooks    = 8                      // before the first offer
	pausesPerLook = 8                      // 20 ns each; between 4 and 16 the round trip changes by less than its noise
	looksPerClock = 8                      // reading the clock is dearer than looking
)

// Spinner decides about one place that waits. One goroutine at a time uses it. A sleep that
// was short turns spinning on, a spin in vain turns it off. The more spins were
// in vain in a row, the more sleeps it takes to turn it on again: if both
// processes share a processor, every spin is in vain, and what it waits for comes
// right after, so that the sleeps are short all the same.
type Spinner struct {
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

// Spin waits a little for ready. It reports whether that came true.
func (s *Spinner) Spin(ready func() bool) bool {
	if !s.on || runtime.NumCPU() == 1 {
		return false
	}
	if spinning.Add(1) > maxSpinning {
		spinning.Add(-1)
		return false
	}
	defer spinning.Add(-1)
	var begin time.Time
	for i := 1; ; i++ {
		if ready() {
			s.vain = 0
			return true
		}
		if i < eagerLooks {
			// Not more often: each look takes the cache line from the
			// writer, who needs it back for the next packet.
			for range pausesPerLook {
				pause()
			}
		} else {
			syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
		}
		if i%looksPerClock == 0 {
			switch t := time.Now(); {
			case begin.IsZero():
				begin = t
			case t.Sub(begin) > spinTime:
				s.on = false
				s.vain = min(s.vain+1, maxVain)
				s.holds = 1<<s.vain - 1
				return false
			}
		}
	}
}

// Slept learns from a sleep of that length.
func (s *Spinner) Slept(d time.Duration) {
	switch {
	case d >= shortWait:
	case s.holds > 0:
		s.holds--
	default:
		s.on = true
	}
}
