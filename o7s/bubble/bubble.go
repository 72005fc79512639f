// SPDX-License-Identifier: BSD-3-Clause

// Package bubble runs tests in bubbles of testing/synctest, in which time is
// simulated (DESIGN §5). Use Test where you would use synctest.Test; Wait and
// the rest come from there.
//
// Why: under the race detector all timers of a bubble run in one context of the
// ThreadSanitizer run-time, and two kinds of them run on the processor that
// meets them: one set to a time that has come (AfterFunc(0, …), Reset with a
// negative time), and one whose channel is looked at only later (Go 1.26,
// runtime/time.go: modify, maybeRunChan). Two at once spoil that context, and
// the program dies in the run-time at some later point. On one processor
// there are no two at once; what the detector finds does not depend on it.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// Test is synctest.Test that keeps the race detector alive.
func Test(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if raceEnabled {
		one.enter()
		defer one.leave()
	}
	synctest.Test(t, f)
}

var one processor

// processor keeps the program on one processor while anybody is in.
type processor struct {
	mu    sync.Mutex
	users int // guarded by mu, as is the rest
	prior int // what GOMAXPROCS was
}

func (p *processor) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users++; p.users == 1 {
		p.prior = runtime.GOMAXPROCS(1)
	}
}

func (p *processor) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users == 0 {
		runtime.GOMAXPROCS(p.prior)
	}
}
