// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/packet"
)

// Poller serves many Ends with one goroutine, which sleeps in the runtime's
// poller and runs their functions itself. Goroutines that wait for what the
// Ends bring may do its work meanwhile, see Help.
//
//	work ──a turn is over, and somebody waits──▶ rest ──nobody helped for restTime──▶ work
//	                                             │  ▲
//	                          somebody helps, and │  │ he has left
//	                          waits for long      ▼  │
//	                                            asleep
type Poller struct {
	set    *Set
	done   sync.WaitGroup
	closed atomic.Bool
	batch  [packet.BatchSize]*packet.Buffer // for the Port that is being served

	turn    sync.Mutex    // held by whoever runs turns
	waiting atomic.Int32  // goroutines in Help
	helper  sync.Mutex    // held by who helps, besides turn
	helped  atomic.Uint64 // times that somebody began to help
	next    chan struct{} // for one that waits: the work is free
	alone   atomic.Bool   // nobody may help
	asleep  atomic.Bool
	wake    chan struct{} // ends the sleep
}

// restTime is how long the Poller's goroutine waits for somebody to help, and how
// long packets may wait while nobody does. A hand-over between goroutines costs
// more than a round trip, so who reads again and again finds the work free.
const restTime = time.Millisecond

// NewPoller starts a Poller. Close ends it.
func NewPoller() (*Poller, error) {
	set, err := NewSet()
	if err != nil {
		return nil, err
	}
	p := &Poller{set: set, next: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	p.done.Go(p.run)
	return p, nil
}

// run works and rests.
func (p *Poller) run() {
	for !p.closed.Load() {
		p.turn.Lock()
		for !p.closed.Load() {
			if p.set.Turn(true); p.waiting.Load() > 0 && !p.alone.Load() {
				break
			}
		}
		p.turn.Unlock()
		p.passOn()
		p.rest()
	}
}

// rest returns when nobody has helped for a while.
func (p *Poller) rest() {
	for !p.closed.Load() {
		seen := p.helped.Load()
		time.Sleep(restTime)
		quiet := p.helped.Load() == seen
		switch {
		case p.turn.TryLock():
			if quiet {
				p.turn.Unlock()
				return
			}
			p.set.Turn(false)
			p.turn.Unlock()
			p.passOn()
		case quiet: // somebody helps, and waits for long
			p.asleep.Store(true)
			if p.turn.TryLock() { // just now no more
				p.asleep.Store(false)
				p.turn.Unlock()
				continue
			}
			<-p.wake
		}
	}
}

// passOn tells one that waits that the work is free.
func (p *Poller) passOn() {
	if p.waiting.Load() > 0 {
		select {
		case p.next <- struct{}{}:
		default:
		}
	}
}

// Help does the Poller's work on the calling goroutine until there is something
// in done, which it takes; or it waits for that while somebody else works. Whoever
// puts something into done in another goroutine than that of a function of an End
// must call Interrupt after it.
func (p *Poller) Help(done <-chan struct{}) {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	for {
		if !p.alone.Load() && p.turn.TryLock() {
			p.helped.Add(1)
			over := p.help(done)
			p.turn.Unlock()
			p.left()
			if over {
				return
			}
		}
		select {
		case <-done:
			return
		case <-p.next:
		}
	}
}

// help runs turns. It reports whether the wait is over.
func (p *Poller) help(done <-chan struct{}) bool {
	p.helper.Lock()
	defer p.helper.Unlock()
	for !p.closed.Load() && !p.alone.Load() {
		select {
		case <-done:
			return true
		default:
		}
		p.set.Turn(true)
	}
	return false
}

// left lets others work after the caller no longer does.
func (p *Poller) left() {
	if p.waiting.Load() > 1 {
		p.passOn()
	}
	p.rouse()
}

// rouse ends the sleep of the Poller's goroutine.
func (p *Poller) rouse() {
	if p.asleep.Load() && p.asleep.Swap(false) {
		select {
		case p.wake <- struct{}{}:
		default: // the end of an earlier sleep, which it had not begun, lies there
		}
	}
}

// Alone ends the help for good: functions of Ends may want from now on what a
// helper holds. It waits for the one who helps to leave: not from within a call
// of a helper.
func (p *Poller) Alone() {
	p.alone.Store(true)
	p.set.Wake()
	p.helper.Lock()
	defer p.helper.Unlock()
}

// Interrupt makes whoever works look at what he waits for.
func (p *Poller) Interrupt() { p.set.Wake() }

// Add calls fn, on the goroutine of the Poller or one that helps, and soon for the
// first time, when packets have arrived or something has changed; again while packets are
// unread. An End can be in one Poller.
func (p *Poller) Add(e *End, fn func()) error {
	return p.set.Add(e, func() bool { fn(); return true })
}

// addPausing is Add for a function that is not called before something happens,
// nor again after it has reported false, until revive.
func (p *Poller) addPausing(e *End, fn func() bool) error { return p.set.addQuiet(e, fn) }

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
	p.rouse()
	p.done.Wait()
	return p.set.Close()
}
