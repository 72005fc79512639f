// SPDX-License-Identifier: BSD-3-Clause

package backoff

import (
	"context"
	"testing"
	"time"
)

// TestNext: the limit doubles up to the largest, and a success makes it short
// again.
func TestNext(t *testing.T) {
	var b Backoff
	longest := func(tries int) (most time.Duration) {
		for range 2000 {
			b.tries = tries
			most = max(most, b.Next(time.Second, 5*time.Second))
		}
		return most
	}
	for tries, limit := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		if got := longest(tries); got > limit || got < limit*9/10 {
			t.Errorf("after %d attempts: up to %v, want %v", tries, got, limit)
		}
	}
	b.Reset()
	if d := b.Next(time.Second, time.Hour); d > time.Second {
		t.Errorf("after a success: %v", d)
	}
}

func TestSleep(t *testing.T) {
	if !Sleep(t.Context(), time.Millisecond) {
		t.Error("did not wait")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if Sleep(ctx, time.Hour) {
		t.Error("waited without a reason")
	}
}
