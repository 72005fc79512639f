// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net/netip"
	"sync"
	"time"
)

// limiter counts connections, in all and by source.
type limiter struct {
	max Limits

	mu      sync.Mutex
	half    int
	conns   int
	limited uint64
	sources map[netip.Addr]*source
}

// source is what one address has open.
type source struct{ half, conns int }

func newLimiter(l Limits) *limiter { return &limiter{max: l, sources: map[netip.Addr]*source{}} }

// begin admits an attempt to connect.
func (l *limiter) begin(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[a]
	if s == nil {
		s = &source{}
	}
	if l.half >= l.max.HalfOpen || l.conns+l.half >= l.max.Conns ||
		s.half >= l.max.HalfOpenPerSource || s.conns+s.half >= l.max.ConnsPerSource {
		l.limited++
		return false
	}
	l.sources[a] = s
	l.half++
	s.half++
	return true
}

// end ends an attempt: it became a connection, or nothing.
func (l *limiter) end(a netip.Addr, connected bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[a]
	l.half--
	s.half--
	if connected {
		l.conns++
		s.conns++
	}
	l.forgetLocked(a, s)
}

// closed ends a connection.
func (l *limiter) closed(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[a]
	l.conns--
	s.conns--
	l.forgetLocked(a, s)
}

func (l *limiter) forgetLocked(a netip.Addr, s *source) {
	if s.half == 0 && s.conns == 0 {
		delete(l.sources, a)
	}
}

func (l *limiter) counts() (half, conns int, limited uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.half, l.conns, l.limited
}

// rateLimit is a token bucket.
type rateLimit struct {
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

// Rate of ICMP messages, per second, and how many may come at once.
const (
	icmpRate  = 100
	icmpBurst = 50
)

// allow takes a token.
func (r *rateLimit) allow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.IsZero() {
		r.tokens = icmpBurst
	} else {
		r.tokens = min(icmpBurst, r.tokens+now.Sub(r.last).Seconds()*icmpRate)
	}
	r.last = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}
