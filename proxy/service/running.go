// SPDX-License-Identifier: BSD-3-Clause

package service

import (
	"context"
	"sync"

	"o7gw/proxy/session"
)

// running are the sessions that the policy has allowed, and may forbid later.
type running struct {
	mu       sync.Mutex
	sessions map[*permit]struct{}
}

// permit is what one session needs to go on.
type permit struct {
	allowed func() bool
	cancel  context.CancelCauseFunc
}

// enter enters a session until done is called. Its context ends with
// session.Denied if it is not allowed, now or after a change.
func (r *running) enter(ctx context.Context, allowed func() bool) (run context.Context, done func()) {
	run, cancel := context.WithCancelCause(ctx)
	p := &permit{allowed, cancel}
	r.mu.Lock()
	if r.sessions == nil {
		r.sessions = map[*permit]struct{}{}
	}
	r.sessions[p] = struct{}{}
	r.mu.Unlock()
	// Once more: the policy may have changed since the session was checked.
	if !allowed() {
		cancel(session.Denied)
	}
	return run, func() {
		r.mu.Lock()
		delete(r.sessions, p)
		r.mu.Unlock()
		cancel(nil)
	}
}

// Recheck ends the sessions that are not allowed any more. To be called after
// the policy has changed. It returns how many.
func (s *Service) Recheck() (ended int) {
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	for p := range s.running.sessions {
		if !p.allowed() {
			p.cancel(session.Denied)
			ended++
		}
	}
	return ended
}
