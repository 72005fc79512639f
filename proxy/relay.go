// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"o7gw/o7s/packet"
	"o7gw/proxy/ledger"
)

// Relay joins a connection and a session until both directions have ended, and
// closes both. One side's finish becomes the other's; if one is aborted, so is
// the other, after what it had sent before. A side that takes nothing stops the
// reading of the other one: what is on the way is bounded by the window of the
// flow and the buffers of the connection.
//
//	connection ── readv into packets ──▶ flow        (one goroutine)
//	connection ◀── writev of packets ── flow         (the caller's)
//
// An idle pair holds no buffers. A busy one holds, each way, 64 packets here and at
// most what FRCP does: a queue of 256 packets and a window of 256, which grows up to
// 8192 while the reader keeps up (16 MB of buffers with an MTU of 1500).
//
// It counts into s, and returns nil after an orderly end. When ctx ends it
// resets both at once.
func Relay(ctx context.Context, a Stream, b *Conn, s *ledger.Session) error {
	near := batched(a)
	r := relay{a: near, b: b, over: make(chan struct{})}
	up := direction{from: near, to: b, size: b.room(), count: s.Tx}
	down := direction{from: b, to: near, count: s.Rx}
	up.opposite, down.opposite = &down, &up

	stop := context.AfterFunc(ctx, func() {
		r.abort(context.Cause(ctx))
		r.hurry()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.copy(&up)
	}()
	r.copy(&down)
	<-done
	r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// side is one of the two streams of a relay.
type side interface {
	Stream
	BatchReader
	BatchWriter
	// Reset aborts it.
	Reset()
	// broken returns an error if it was aborted by the peer, though nobody reads or
	// writes it.
	broken() error
	// drained reports whether the peer has all that was written.
	drained() bool
}

// direction is one way through a relay.
type direction struct {
	from, to side
	size     int // of packets to read, bytes
	count    func(packets, bytes int)
	opposite *direction
	ended    atomic.Bool   // nothing more goes this way
	writes   atomic.Uint64 // odd while one is under way
	stuck    *time.Timer   // runs meanwhile
}

// relay is one pair being joined.
type relay struct {
	a    side
	b    *Conn
	over chan struct{} // closed with the end of both sides

	mu    sync.Mutex
	ended bool
	err   error // the first one
}

const (
	// relayBatch is how many packets are moved at once.
	relayBatch = 64
	// stuckCheck is how often a write that waits looks whether the source is still
	// there: nobody reads it meanwhile.
	stuckCheck = 5 * time.Second
	// lastWords is how long a side that is about to be reset may take what was sent to
	// it before, which the reset would destroy.
	lastWords = 5 * time.Second
	// lastLook is how often that is looked at.
	lastLook = 10 * time.Millisecond
)

// copy moves packets one way until the source finishes.
func (r *relay) copy(d *direction) {
	var bufs [relayBatch]*packet.Buffer
	d.stuck = time.AfterFunc(time.Hour, func() { r.look(d) })
	d.stuck.Stop()
	defer d.ended.Store(true)
	for {
		n, err := d.from.ReadBatch(bufs[:], d.size)
		if err == io.EOF {
			if err := d.to.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
				r.fail(err, r.leftToRead(d))
			}
			return
		}
		if err != nil {
			d.ended.Store(true)
			r.fail(err, d.to.drained)
			return
		}
		bytes := 0
		for _, b := range bufs[:n] {
			bytes += b.Len()
		}
		d.writes.Add(1)
		d.stuck.Reset(stuckCheck)
		err = d.to.WriteBatch(bufs[:n])
		d.writes.Add(1)
		d.stuck.Stop()
		if err != nil {
			d.ended.Store(true)
			r.fail(err, r.leftToRead(d))
			return
		}
		d.count(n, bytes)
	}
}

// look looks after the source of a write that has been waiting for long. If it comes
// late, it may look again later for nothing.
func (r *relay) look(d *direction) {
	write := d.writes.Load()
	if write&1 == 0 {
		return
	}
	if err := d.from.broken(); d.writes.Load() != write {
		return
	} else if err != nil {
		r.abort(err)
		return
	}
	d.stuck.Reset(stuckCheck)
}

// leftToRead reports, when nothing can be written to one side any more, whether
// what comes from it has been delivered.
func (r *relay) leftToRead(d *direction) func() bool {
	return func() bool { return d.opposite.ended.Load() && d.from.drained() }
}

// fail resets both sides as soon as what was sent before is where it belongs.
func (r *relay) fail(err error, ready func() bool) {
	r.mu.Lock()
	r.note(err)
	r.mu.Unlock()
	for begin := time.Now(); !ready() && time.Since(begin) < lastWords; {
		select {
		case <-r.over:
			return
		case <-time.After(lastLook):
		}
	}
	r.abort(err)
}

// note keeps the first error; the caller holds mu.
func (r *relay) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

// abort resets both sides, once.
func (r *relay) abort(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.note(err)
	r.ended = true
	close(r.over)
	r.a.Reset()
	r.b.Reset()
}

// end closes both sides after an orderly end.
func (r *relay) end() {
	r.mu.Lock()
	ended := r.ended
	r.ended = true
	r.mu.Unlock()
	if ended {
		return
	}
	close(r.over)
	err := errors.Join(r.b.Close(), ignoreClosed(r.a.Close()))
	r.mu.Lock()
	r.note(err)
	r.mu.Unlock()
}

// hurry cuts the waits of an orderly end.
func (r *relay) hurry() {
	r.b.Reset()
	if c, ok := r.a.(*Conn); ok {
		c.Reset()
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENOTCONN) {
		return nil
	}
	return err
}
