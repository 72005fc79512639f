// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// limiter counts connections, in all and by source.
type limiter struct {
	max Limits

	mu      sync.Mutex
	half    int
	conns   int
	sources map[netip.Addr]*source

	open atomic.Int64 // conns, for those without the lock
}

// source is what one address has open.
type source struct{ half, conns int }

func newLimiter(l Limits) *limiter { return &limiter{max: l, sources: map[netip.Addr]*source{}} }

// host is what counts as one source: an address, or a network of IPv6 in
// which a host takes as many as it likes.
func host(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, _ := a.Prefix(64)
	return p.Addr()
}

// Reasons not to admit an attempt.
var (
	errHalfOpen = errors.New("too many attempts")
	errLimit    = errors.New("too many connections, or attempts of one source")
)

// begin admits an attempt to connect.
func (l *limiter) begin(a netip.Addr) error {
	a = host(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[a]
	if s == nil {
		s = &source{}
	}
	switch {
	case l.conns+l.half >= l.max.Conns || s.half >= l.max.HalfOpenPerSource || s.conns+s.half >= l.max.ConnsPerSource:
		return errLimit
	case l.half >= l.max.HalfOpen:
		return errHalfOpen
	}
	l.sources[a] = s
	l.half++
	s.half++
	return nil
}

// end ends an attempt: it became a connection, or nothing.
func (l *limiter) end(a netip.Addr, connected bool) {
	if connected {
		l.opened(a)
	}
	a = host(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[a]
	l.half--
	s.half--
	l.forgetLocked(a, s)
}

// opened counts a connection.
func (l *limiter) opened(a netip.Addr) {
	a = host(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[a]
	if s == nil {
		s = &source{}
		l.sources[a] = s
	}
	l.conns++
	s.conns++
	l.open.Add(1)
}

// closed ends a connection.
func (l *limiter) closed(a netip.Addr) {
	a = host(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[a]
	l.conns--
	s.conns--
	l.open.Add(-1)
	l.forgetLocked(a, s)
}

func (l *limiter) forgetLocked(a netip.Addr, s *source) {
	if s.half == 0 && s.conns == 0 {
		delete(l.sources, a)
	}
}

func (l *limiter) counts() (half, conns int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.half, l.conns
}

// Rates of ICMP messages, per second. As many may come at once.
const (
	icmpRate = 100 // errors
	pingRate = 1000
)

// rateLimit is a token bucket that holds the tokens of a second.
type rateLimit struct {
	rate float64 // per second

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

// allow takes a token.
func (r *rateLimit) allow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.IsZero() {
		r.tokens = r.rate
	} else {
		r.tokens = min(r.rate, r.tokens+max(0, now.Sub(r.last).Seconds())*r.rate)
	}
	r.last = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}
