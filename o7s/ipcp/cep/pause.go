// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"context"
	"time"
)

// Pauses between attempts.
const (
	minPause = 200 * time.Millisecond
	maxPause = 5 * time.Second
)

// pause is a series of pauses, each twice as long as the one before up to
// maxPause, less a random part of up to a half: the neighbours of a
// member that comes back do not all ask at the same time.
type pause struct {
	rand func() float64
	next time.Duration // 0: none was made yet
}

func (m *Manager) newPause() pause { return pause{rand: m.rand} }

// first reports whether none was made since the last reset.
func (p *pause) first() bool { return p.next == 0 }

func (p *pause) reset() { p.next = 0 }

// take returns the length of the next pause.
func (p *pause) take() time.Duration {
	d := max(p.next, minPause)
	p.next = min(2*d, maxPause)
	return d - time.Duration(p.rand()*float64(d)/2)
}

// wait makes the next pause. It returns false, at once, when ctx ends.
func (p *pause) wait(ctx context.Context) bool {
	t := time.NewTimer(p.take())
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
