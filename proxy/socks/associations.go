// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"sync"
	"time"

	"o7gw/proxy/listen"
)

// associations are those of a server. One goroutine looks after the idle flows
// of all.
type associations struct {
	wg    sync.WaitGroup
	ended chan struct{} // nil before start

	mu   sync.Mutex
	open map[*association]struct{}
}

func (l *associations) start() {
	l.ended, l.open = make(chan struct{}), map[*association]struct{}{}
	ended := l.ended
	l.wg.Go(func() { l.sweep(ended) })
}

func (l *associations) sweep(ended <-chan struct{}) {
	t := time.NewTicker(listen.SweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ended:
			return
		case <-t.C:
		}
		for _, a := range l.all() {
			a.flows.Sweep()
		}
	}
}

func (l *associations) all() (list []*association) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.open {
		list = append(list, a)
	}
	return list
}

func (l *associations) add(a *association) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[a] = struct{}{}
}

func (l *associations) remove(a *association) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, a)
}

// setIdle changes the idle time of flows.
func (l *associations) setIdle(idle time.Duration) {
	for _, a := range l.all() {
		a.flows.SetIdle(idle)
	}
}

// close ends the goroutine; there are no associations any more. Idempotent.
func (l *associations) close() {
	l.mu.Lock()
	ended := l.ended
	l.ended = nil
	l.mu.Unlock()
	if ended != nil {
		close(ended)
	}
	l.wg.Wait()
}
