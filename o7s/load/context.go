// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"context"
	"time"
)

// whenDone calls f when ctx ends. undo prevents that, or waits for f's end.
func whenDone(ctx context.Context, f func()) (undo func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		f()
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

// Pause waits; it reports false if ctx ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
