// SPDX-License-Identifier: BSD-3-Clause

package service

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"o7gw/proxy/session"
)

// errCrowded ends a wait.
var errCrowded = fmt.Errorf("waited too long while others came: %w", session.Busy)

// lobby is where flows wait for their requests, or calls for their targets. It
// is never closed to new ones: if it is full, the one that has waited longest
// leaves, of the peer that has most there. So who allocates flows and says
// nothing, or asks for targets that do not answer, is in nobody's way but its
// own, and even that little, since others do not wait long.
type lobby struct {
	max int

	mu    sync.Mutex
	count int
	peers map[string]*list.List // of context.CancelCauseFunc, the oldest first
}

func newLobby(max int) *lobby { return &lobby{max: max, peers: map[string]*list.List{}} }

// enter lets somebody wait, until leave is called. The context ends if it has to
// make room.
func (l *lobby) enter(ctx context.Context, key string) (wait context.Context, leave func()) {
	wait, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count >= l.max {
		l.evictLocked()
	}
	row := l.peers[key]
	if row == nil {
		row = list.New()
		l.peers[key] = row
	}
	at := row.PushBack(cancel)
	l.count++
	return wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if at.Value != nil {
			l.removeLocked(key, row, at)
		}
		cancel(nil)
	}
}

// evictLocked sends the oldest of the longest row away.
func (l *lobby) evictLocked() {
	var longest *list.List
	var of string
	for key, row := range l.peers {
		if longest == nil || row.Len() > longest.Len() {
			longest, of = row, key
		}
	}
	if longest == nil {
		return
	}
	oldest := longest.Front()
	oldest.Value.(context.CancelCauseFunc)(errCrowded)
	l.removeLocked(of, longest, oldest)
}

func (l *lobby) removeLocked(key string, row *list.List, at *list.Element) {
	row.Remove(at)
	at.Value = nil
	l.count--
	if row.Len() == 0 {
		delete(l.peers, key)
	}
}
