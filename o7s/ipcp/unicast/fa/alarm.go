// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"sync"
	"time"
)

// alarm runs a function at the earliest of the times that it was set to, once;
// the function sets it for the next. Idle, it is a stopped timer.
type alarm struct {
	fa   *FA
	ring func()

	mu    sync.Mutex
	timer *time.Timer // nil until it was needed; guarded by mu, as is at
	at    int64       // when it rings, as FA.now counts; 0: never
}

// set makes it ring at the time, or before if it was set to that.
func (l *alarm) set(at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.at != 0 && l.at <= at:
		return
	case l.at != 0 && !l.timer.Stop():
		return // it rings now
	case l.at == 0 && !l.fa.enter():
		return // closing
	}
	l.at = at
	wait := time.Duration(at - l.fa.now())
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.run)
	} else {
		l.timer.Reset(wait)
	}
}

func (l *alarm) run() {
	defer l.fa.work.Done()
	l.mu.Lock()
	l.at = 0
	l.mu.Unlock()
	l.ring()
}

// stop stops it. FA.Close calls it when nothing can set it any more.
func (l *alarm) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != 0 && l.timer.Stop() {
		l.at = 0
		l.fa.work.Done()
	}
}
