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
	Rate            float64 // new ones per second
	Burst           int     // how many of those may come at once; 0: as many as Rate, at least 1
}

// Limiter keeps to Limits. Its memory is bounded by the open sessions.
type Limiter struct {
	mu     sync.Mutex
	limits Limits
	open   int
	peers  map[string]int
	tokens float64
	last   time.Time
}

// NewLimiter returns a Limiter.
func NewLimiter(l Limits) *Limiter {
	r := &Limiter{peers: map[string]int{}}
	r.Set(l)
	return r
}

// Set changes the limits; sessions that are open stay.
func (l *Limiter) Set(to Limits) {
	if to.Burst == 0 {
		to.Burst = max(1, int(to.Rate))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = to
	l.tokens = float64(to.Burst)
}

// Admit admits a session of a peer: session.OK, and what must be called when it
// has ended, or session.Busy.
func (l *Limiter) Admit(now time.Time, peer Peer) (release func(), s session.Status) {
	key := peer.Name
	if key == "" {
		key = "\x00" + peer.Layer
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.limits
	if m.Sessions > 0 && l.open >= m.Sessions || m.SessionsPerPeer > 0 && l.peers[key] >= m.SessionsPerPeer {
		return nil, session.Busy
	}
	if m.Rate > 0 {
		if !l.last.IsZero() {
			l.tokens = min(float64(m.Burst), l.tokens+now.Sub(l.last).Seconds()*m.Rate)
		}
		l.last = now
		if l.tokens < 1 {
			return nil, session.Busy
		}
		l.tokens--
	}
	l.open++
	l.peers[key]++
	return sync.OnceFunc(func() { l.release(key) }), session.OK
}

func (l *Limiter) release(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.peers[key]--; l.peers[key] == 0 {
		delete(l.peers, key)
	}
}
