// SPDX-License-Identifier: BSD-3-Clause

package service

import (
	"context"
	"errors"
	"testing"
)

// waiting is a flow in a lobby.
type waiting struct {
	ctx   context.Context
	leave func()
}

func (w waiting) evicted() bool { return errors.Is(context.Cause(w.ctx), errCrowded) }

// TestLobby: who has most flows that say nothing loses the oldest of them.
func TestLobby(t *testing.T) {
	l := newLobby(4)
	enter := func(key string) waiting {
		ctx, leave := l.enter(t.Context(), key)
		return waiting{ctx, leave}
	}
	var flood []waiting
	other := enter("other")
	for range 100 {
		flood = append(flood, enter("flood"))
	}
	if other.evicted() {
		t.Error("the flow of another peer had to leave")
	}
	for i, w := range flood {
		if w.evicted() != (i < 97) {
			t.Errorf("flow %d of the flood: %v", i, w.evicted())
		}
	}
	if second := enter("second"); second.evicted() || !flood[97].evicted() {
		t.Error("a new peer did not get the place of the oldest")
	} else {
		second.leave()
	}
	other.leave()
	for _, w := range flood {
		w.leave()
		w.leave() // harmless
	}
	if l.count != 0 || len(l.peers) != 0 {
		t.Errorf("%d flows, %d peers are left", l.count, len(l.peers))
	}
	if other.evicted() || other.ctx.Err() == nil {
		t.Error("a context outlives its wait")
	}
}

// TestLobbyEmpty: a lobby without any room lets in who comes, all the same.
func TestLobbyEmpty(t *testing.T) {
	l := newLobby(0)
	ctx, leave := l.enter(t.Context(), "a")
	defer leave()
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
}
