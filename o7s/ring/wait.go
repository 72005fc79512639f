// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"os"
	"time"
)

// usable returns why a call cannot go on: the End is closed or corrupt.
func (e *End) usable() error {
	if e.closed.Load() {
		return ErrClosed
	}
	if e.corrupt.Load() {
		return ErrCorrupt
	}
	return nil
}

// expired reports whether the deadline of the direction has passed.
func (w *waiter) expired() bool {
	d := w.deadline.Load()
	return d != 0 && now() >= d
}

// await waits until something has changed for the waiter: the caller, which
// holds the lock of the direction, looks at everything again after nil. An
// error is final.
func (e *End) await(w *waiter, stop Stop) error {
	if stop != nil {
		if err := stop(); err != nil {
			return err
		}
	}
	spin := &w.spins[w.habit]
	if spin.Spin(w.ready) {
		return nil
	}
	e.bell.join(w)
	defer e.bell.part(w)
	w.flag.Store(1) // full barrier, see producer.publish
	defer w.flag.Store(0)
	if w.ready() || e.usable() != nil || e.gone() || e.down() {
		return nil
	}
	// Whatever was changed before we joined shows here; after that we are
	// interrupted.
	if stop != nil {
		if err := stop(); err != nil {
			return err
		}
	}
	if w.expired() {
		return os.ErrDeadlineExceeded
	}
	begin := time.Now()
	e.bell.sleep(w, w.deadline.Load())
	spin.Slept(time.Since(begin))
	return nil
}
