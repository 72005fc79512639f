// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ring"
)

// gate is where the calls of one direction wait. A call holds the lock, also
// while it waits.
type gate struct {
	sync.Mutex
	wake chan struct{} // capacity 1: a token lies there after a kick
	// helps is the Poller whose work the waiting call may do; nil: none.
	helps    *ring.Poller
	asks     atomic.Bool // the call waits so
	deadline atomic.Pointer[time.Time]
}

func newGate() gate { return gate{wake: make(chan struct{}, 1)} }

// kick makes the call that waits, or else the next one that would, look again.
func (g *gate) kick() {
	g.put()
	if g.asks.Load() {
		g.helps.Interrupt()
	}
}

// put is kick on the goroutine that does the Poller's work: if the waiting call
// does it, it looks by itself.
func (g *gate) put() {
	select {
	case g.wake <- struct{}{}:
	default: // a token lies there
	}
}

func (g *gate) setDeadline(t time.Time) {
	if t.IsZero() {
		g.deadline.Store(nil)
	} else {
		g.deadline.Store(&t)
	}
	g.kick()
}

// expired returns an error once the deadline has passed.
func (g *gate) expired() error {
	if d := g.deadline.Load(); d != nil && !time.Now().Before(*d) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait waits for a token or the deadline, after nothing was found.
func (g *gate) wait(stop ring.Stop) error {
	if err := stop(); err != nil {
		return err
	}
	if d := g.deadline.Load(); d != nil {
		defer time.AfterFunc(time.Until(*d), g.kick).Stop()
	}
	if g.helps != nil {
		g.asks.Store(true)
		defer g.asks.Store(false)
		g.helps.Help(g.wake)
		return nil
	}
	<-g.wake
	return nil
}
