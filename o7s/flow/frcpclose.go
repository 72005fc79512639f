// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"errors"
	"time"

	"o7gw/o7s/packet"
)

// finish says that nothing more will be written. The peer reads what was,
// and then the end.
func (l *frcpLower) finish() {
	l.writing.Lock() // behind the call under way
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || l.finished {
		return
	}
	l.finished = true
	l.e.Finish(l.now())
	l.pumpLocked(false)
}

// shut ends the calls of the user.
func (l *frcpLower) shut() {
	l.isClosed.Store(true)
	l.wakeReaders()
	l.wakeWriters()
}

// linger waits until the peer has everything that was written, at most as long
// as nothing moves for limit, while stop returns nil, and until the write
// deadline.
// Calls under way end, and what arrives is thrown away.
func (l *frcpLower) linger(limit time.Duration, stop func() error) error {
	l.shut()
	if limit <= 0 {
		return nil
	}
	l.finish()
	l.closing.Lock()
	defer l.closing.Unlock()
	giveUp := time.AfterFunc(limit, l.closing.kick)
	defer giveUp.Stop()
	var moved time.Time
	var before int
	for {
		l.mu.Lock()
		l.discard = true
		l.discardLocked()
		lingers := l.e.Lingering()
		s := l.e.Stats()
		l.mu.Unlock()
		switch now := time.Now(); {
		case !lingers || l.isOver.Load():
			return nil
		case moved.IsZero() || s.Waiting+s.Flying != before:
			moved, before = now, s.Waiting+s.Flying
			giveUp.Reset(limit)
		case now.Sub(moved) >= limit:
			return errLinger
		}
		if err := l.closing.expired(); err != nil {
			return err
		}
		if err := l.closing.wait(stop); err != nil {
			return err
		}
	}
}

var errLinger = errors.New("flow: the peer does not take what was written")

// discardLocked takes what has arrived away, so that the peer can end, too.
func (l *frcpLower) discardLocked() {
	var bufs [pumped]*packet.Buffer
	for !l.dead {
		n := l.e.Read(l.now(), bufs[:])
		if n == 0 {
			return
		}
		packet.ReleaseBatch(bufs[:n])
		l.pumpLocked(false)
	}
}

// close ends the flow at once. It reports an error if the peer may lack some
// of what was written.
func (l *frcpLower) close() error {
	l.isClosed.Store(true)
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return nil
	}
	// An Endpoint that gave up has nothing left, either.
	delivered := l.e.Delivered() && l.e.Err() == nil
	l.dead = true
	l.e.Close()
	l.timer.Stop()
	l.mu.Unlock()
	err := l.under.close()
	l.wakeReaders()
	l.wakeWriters()
	l.closing.kick()
	l.reading.Lock() // the reader leaves now
	defer l.reading.Unlock()
	if l.head != nil {
		l.head.Release()
	}
	packet.ReleaseBatch(l.staged[l.at:l.end])
	l.head, l.at, l.end = nil, 0, 0
	if l.reliable && !delivered {
		err = errors.Join(err, ErrUnsent)
	}
	return err
}
