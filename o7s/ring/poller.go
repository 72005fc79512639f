// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"sync"
	"sync/atomic"

	"o7gw/o7s/packet"
)

// Poller serves many Ends with one goroutine, which sleeps in the runtime's
// poller and runs their functions itself.
type Poller struct {
	set    *Set
	done   sync.WaitGroup
	closed atomic.Bool
	batch  [packet.BatchSize]*packet.Buffer // for the Port that is being served
}

// NewPoller starts a Poller. Close ends it.
func NewPoller() (*Poller, error) {
	set, err := NewSet()
	if err != nil {
		return nil, err
	}
	p := &Poller{set: set}
	p.done.Add(1)
	go func() {
		defer p.done.Done()
		for !p.closed.Load() {
			set.Turn(true)
		}
	}()
	return p, nil
}

// Add calls fn, on the goroutine of the Poller and soon for the first time,
// when packets have arrived or something has changed; again while packets are
// unread. An End can be in one Poller.
func (p *Poller) Add(e *End, fn func()) error {
	return p.set.Add(e, func() bool { fn(); return true })
}

// addPausing is Add for a function that is not called again after it has reported
// false, until revive.
func (p *Poller) addPausing(e *End, fn func() bool) error { return p.set.Add(e, fn) }

// revive goes on with an End whose function has reported false.
func (p *Poller) revive(e *End) { p.set.revive(e) }

// Remove ends the calls for e. One that is under way may still finish. It may
// be called from within such a call.
func (p *Poller) Remove(e *End) { p.set.Remove(e) }

// Close waits for the call under way and ends the Poller. Not from within a
// call. The Ends stay open.
func (p *Poller) Close() error {
	p.closed.Store(true)
	p.set.Wake()
	p.done.Wait()
	return p.set.Close()
}
