// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
	"time"
)

// deadline ends the waits of one direction of a connection.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{} // closed when it has passed
}

func (d *deadline) start() { d.passed = make(chan struct{}) }

// wait returns a channel that is closed when the deadline has passed.
func (d *deadline) wait() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

// set changes the deadline, also of waits that have begun; the zero time is
// none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed // it is about to close it, without the lock
	}
	d.timer = nil
	over := false
	select {
	case <-d.passed:
		over = true
	default:
	}
	until := time.Until(t)
	if t.IsZero() || until > 0 {
		if over {
			d.passed = make(chan struct{})
		}
		if !t.IsZero() {
			passed := d.passed
			d.timer = time.AfterFunc(until, func() { close(passed) })
		}
		return
	}
	if !over {
		close(d.passed)
	}
}
