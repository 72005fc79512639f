// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff gives the pauses between attempts to connect: full jitter, that is
// a random time between nothing and a limit that doubles, so that the many
// clients of a server that restarts do not come back all at once.
type backoff struct {
	tries int
}

// next returns the pause before the next attempt.
func (b *backoff) next(min, max time.Duration) time.Duration {
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

// reset makes the next pause a short one again.
func (b *backoff) reset() { b.tries = 0 }

// sleep waits for d; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
