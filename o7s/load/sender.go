// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/packet"
)

const (
	// spinFor is the last part of a wait that spins; before, even a spinning
	// Sender sleeps. It covers the slack of a timer.
	spinFor = 2 * time.Millisecond
	// stuckAfter is how long after the end of its time a Sender waits for a
	// flow that is full. It is not 0, since a batch that was cut cannot be
	// counted.
	stuckAfter = 2 * time.Second
)

// Sender writes packets of one size to a flow: zeros, and a number at the
// front.
type Sender struct {
	Flow *o7s.Flow
	Size int     // bytes of a packet, above 0, at most the flow's MTU
	Rate float64 // bit/s; 0: as fast as possible
	Spin bool    // pace by spinning instead of by sleeping
	// Stamp writes the number of a packet, from 0, at its front; may be nil.
	Stamp func(p []byte, number uint64)

	sent    atomic.Uint64
	stopped atomic.Bool
	zeros   []byte
}

// Sent returns how many packets were written. It may be called while Run runs.
func (s *Sender) Sent() uint64 { return s.sent.Load() }

// Run sends for that time, or until ctx ends, which is no error. It writes in
// batches where several packets are due. A flow that is full holds it up: by
// stuckAfter at most beyond the end. It sets the write deadline of the flow.
func (s *Sender) Run(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return nil
	}
	s.zeros = make([]byte, s.Size)
	start := time.Now()
	s.Flow.SetWriteDeadline(start.Add(d + stuckAfter))
	undo := whenDone(ctx, func() {
		s.stopped.Store(true)
		s.Flow.SetWriteDeadline(time.Now().Add(stuckAfter / 4))
	})
	defer func() {
		undo()
		s.Flow.SetWriteDeadline(time.Time{})
	}()

	timer := time.NewTimer(0)
	defer timer.Stop()
	pace := newPacer(s.Size, s.Rate)
	var batch [packet.BatchSize]*packet.Buffer
	for !s.stopped.Load() {
		now := time.Since(start)
		if now >= d {
			return nil
		}
		n := pace.take(now, len(batch))
		if n == 0 {
			s.wait(ctx, timer, start, min(pace.next(), d))
			continue
		}
		if err := s.write(batch[:n]); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// write sends the next packets.
func (s *Sender) write(batch []*packet.Buffer) error {
	first := s.sent.Load()
	packet.GetBatch(batch, s.Size)
	for i, b := range batch {
		b.Append(s.zeros)
		if s.Stamp != nil {
			s.Stamp(b.Bytes(), first+uint64(i))
		}
	}
	if err := s.Flow.WriteBatch(batch); err != nil {
		return err
	}
	s.sent.Add(uint64(len(batch)))
	return nil
}

// wait waits until that time after the start, or the end of ctx.
func (s *Sender) wait(ctx context.Context, timer *time.Timer, start time.Time, until time.Duration) {
	sleep := until - time.Since(start)
	if s.Spin {
		sleep -= spinFor
	}
	if sleep > 0 {
		timer.Reset(sleep)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
	for s.Spin && time.Since(start) < until && !s.stopped.Load() {
	}
}
