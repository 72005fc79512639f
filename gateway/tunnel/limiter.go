// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"sync"
	"time"
)

// The rate of ICMP errors of one tunnel (RFC 4443 §2.4 (f)): enough for path
// MTU discovery of many connections at once, too few to be an amplifier.
const (
	errorRate  = 1000 // per second
	errorBurst = 100
)

// limiter is a token bucket. It is used on error paths only.
type limiter struct {
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func (l *limiter) allow() bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.IsZero() {
		l.tokens = errorBurst
	} else {
		l.tokens = min(errorBurst, l.tokens+errorRate*now.Sub(l.last).Seconds())
	}
	l.last = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
