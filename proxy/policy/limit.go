// SPDX-License-Identifier: BSD-3-Clause

package policy

import (
	"sync"
	"time"

	"o7gw/proxy/session"
)

// Limits bound the sessions of an object; 0 is no limit.
type Limits struct {
	Sessions        int     // at a time
	SessionsPerPeer int     // at a time, by name or, without one, by layer
	Rate            float64 // new ones per second, of all peers together
	Burst           int     // how many of those may come at once; 0: as many as Rate, at least 1
}

// Limiter keeps to Limits: a counter for each peer that has sessions, and one
// token bucket. Its memory is bounded by the open sessions.
type Limiter struct {
	mu     sync.Mutex
	limits Limits
	open   int
	peers  map[string]int
	tokens float64
	last   time.Time // of the last refill
}

// NewLimiter returns a Limiter.
func NewLimiter(l Limits) *Limiter {
	r := &Limiter{limits: l.complete(), peers: map[string]int{}}
	r.tokens = float64(r.limits.Burst)
	return r
}

func (l Limits) complete() Limits {
	if l.Burst == 0 {
		l.Burst = max(1, int(l.Rate))
	}
	return l
}

// Set changes the limits. Sessions that are open stay, and what has been taken
// from the bucket is still missing.
func (l *Limiter) Set(to Limits) {
	to = to.complete()
	l.mu.Lock()
	defer l.mu.Unlock()
	missing := float64(l.limits.Burst) - l.tokens
	l.limits, l.tokens = to, max(0, float64(to.Burst)-missing)
}

// Key tells peers apart for limits: those without a certificate share that of
// their layer.
func (p Peer) Key() string {
	if p.Name != "" {
		return p.Name
	}
	return "\x00" + p.Layer
}

// Admit admits a session of a peer: session.OK, and what must be called when it
// has ended, or session.Busy. It takes a token only from those that it admits.
func (l *Limiter) Admit(now time.Time, peer Peer) (release func(), s session.Status) {
	key := peer.Key()
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.limits
	if m.Sessions > 0 && l.open >= m.Sessions || m.SessionsPerPeer > 0 && l.peers[key] >= m.SessionsPerPeer {
		return nil, session.Busy
	}
	if m.Rate > 0 && !l.takeLocked(now) {
		return nil, session.Busy
	}
	l.open++
	l.peers[key]++
	return sync.OnceFunc(func() { l.release(key) }), session.OK
}

// takeLocked takes a token, if there is one.
func (l *Limiter) takeLocked(now time.Time) bool {
	if d := now.Sub(l.last).Seconds(); d > 0 {
		if !l.last.IsZero() {
			l.tokens = min(float64(l.limits.Burst), l.tokens+d*l.limits.Rate)
		}
		l.last = now
	}
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

func (l *Limiter) release(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.peers[key]--; l.peers[key] == 0 {
		delete(l.peers, key)
	}
}
