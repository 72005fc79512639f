// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"sync"
	"time"
)

// timer runs a function when the deadline of a state machine comes, on one
// goroutine. The deadline may be set from anywhere; who brings an input to the
// machine usually need not wake anybody, since most deadlines do not come
// nearer.
type timer struct {
	kick chan struct{}
	quit chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	next time.Time // zero: never; guarded by mu
}

// startTimer begins. tick is called when the deadline has passed, and sets
// the next one.
func startTimer(tick func()) *timer {
	t := &timer{kick: make(chan struct{}, 1), quit: make(chan struct{})}
	t.done.Go(func() { t.run(tick) })
	return t
}

// set sets the deadline; the zero time means never.
func (t *timer) set(d time.Time) {
	t.mu.Lock()
	nearer := !d.IsZero() && (t.next.IsZero() || d.Before(t.next))
	t.next = d
	t.mu.Unlock()
	if nearer {
		select {
		case t.kick <- struct{}{}:
		default: // it will look
		}
	}
}

func (t *timer) deadline() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}

// tickPause is the least time between two ticks, whatever the machine says.
const tickPause = time.Millisecond

func (t *timer) run(tick func()) {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	var last time.Time
	for {
		if d := t.deadline(); d.IsZero() {
			alarm.Stop()
		} else {
			alarm.Reset(max(time.Until(d), tickPause-time.Since(last)))
		}
		select {
		case <-t.quit:
			return
		case <-t.kick:
		case <-alarm.C:
			last = time.Now()
			tick()
		}
	}
}

// close waits for a tick under way.
func (t *timer) close() {
	close(t.quit)
	t.done.Wait()
}
