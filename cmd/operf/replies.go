// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"math"
	"os"
	"sync/atomic"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/packet"
)

// errSilent: nothing has come back for too long.
var errSilent = errors.New("timeout")

// replies takes what a server sends back, until everything that was sent has
// come, or nothing comes any more. One goroutine runs it.
type replies struct {
	flow *o7s.Flow
	size int // bytes of a valid message
	arrived

	patience atomic.Int64  // longest silence, ns
	total    atomic.Uint64 // packets to come
	received atomic.Uint64 // packets, also for others to read
}

func newReplies(flow *o7s.Flow, size int, patience time.Duration) *replies {
	r := &replies{flow: flow, size: size}
	r.patience.Store(int64(patience))
	r.total.Store(math.MaxUint64)
	return r
}

// run takes messages; it returns nil when all are there.
func (r *replies) run() error {
	var batch [packet.BatchSize]*packet.Buffer
	var armed time.Time
	for {
		// A deadline costs more than a packet: it is moved now and then, so
		// that the silence noticed is one of three quarters at least.
		now, patience := time.Now(), time.Duration(r.patience.Load())
		if now.Sub(armed) > patience/4 {
			armed = now
			r.flow.SetReadDeadline(now.Add(patience))
		}
		// After that: who sets an earlier deadline has set the total before.
		if r.received.Load() >= r.total.Load() {
			return nil
		}
		n, err := r.flow.ReadBatch(batch[:])
		if n > 0 {
			r.at(time.Now())
			for _, b := range batch[:n] {
				if b.Len() == r.size {
					r.add(b)
				} else {
					r.invalid++
				}
			}
			packet.ReleaseBatch(batch[:n])
			r.received.Store(r.seq.Received)
		}
		switch {
		case err == nil:
		case r.received.Load() >= r.total.Load():
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errSilent
		default:
			return err
		}
	}
}

// expect says that no more is sent than that, and how long to wait for the
// rest. Another goroutine calls it, once.
func (r *replies) expect(total uint64, patience time.Duration) {
	r.patience.Store(int64(patience))
	r.total.Store(total)
	if r.received.Load() >= total {
		patience = 0
	}
	r.flow.SetReadDeadline(time.Now().Add(patience))
}
