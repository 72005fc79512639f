// SPDX-License-Identifier: BSD-3-Clause

// Package backoff gives the pauses between attempts to do something that
// failed.
//
// Start with Accept, for servers, or the zero Backoff and its Next; Sleep waits.
package backoff

import (
	"context"
	"io"
	"math/rand/v2"
	"time"
)

// Backoff gives the pauses between attempts to connect: full jitter, that is
// a random time between nothing and a limit that doubles, so that the many
// clients of a server that restarts do not come back all at once.
type Backoff struct {
	tries int
}

// Next returns the pause before the next attempt.
func (b *Backoff) Next(min, max time.Duration) time.Duration {
	limit := min
	for i := 0; i < b.tries && limit < max; i++ {
		limit *= 2
	}
	if limit > max {
		limit = max
	}
	b.tries++
	return rand.N(limit + 1)
}

// Reset makes the next pause a short one again.
func (b *Backoff) Reset() { b.tries = 0 }

// Sleep waits for d; false if ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Accept takes what accept gives until ctx ends. After an error it calls
// failed, which says between what the pause before the next attempt lies.
func Accept[F io.Closer](ctx context.Context, accept func(context.Context) (F, error), failed func(error) (min, max time.Duration), take func(F)) {
	var pause Backoff
	for {
		f, err := accept(ctx)
		if ctx.Err() != nil {
			if err == nil {
				f.Close()
			}
			return
		}
		if err != nil {
			if !Sleep(ctx, pause.Next(failed(err))) {
				return
			}
			continue
		}
		pause.Reset()
		take(f)
	}
}
