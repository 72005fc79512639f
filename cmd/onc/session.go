// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
)

// session joins one flow to one end, in both directions until both have come
// to their ends, or the whole has:
//
//	end.Read ── send ──▶ flow      at the end: CloseWrite, or Close if it must be
//	end.writeAll ◀── receive ── flow   at the end: end.finish
type session struct {
	opt  *options
	note *notes
	flow *o7s.Flow
	end  end

	own      amounts
	total    *amounts
	activity atomic.Int64 // when something passed, ns since start
	start    time.Time
	over     context.CancelCauseFunc // ends both directions
	sendDone chan struct{}
	unread   bool // it ended because nobody reads the output; after run
}

// amounts are bytes of the user's.
type amounts struct{ sent, received atomic.Int64 }

// errOver is the cause of an end that is no error.
var errOver = errors.New("over")

// run joins until the end and closes the flow. All that was read from the end
// is delivered, or there is an error.
func (s *session) run(parent context.Context) error {
	ctx, over := context.WithCancelCause(parent)
	s.over, s.sendDone, s.start = over, make(chan struct{}), time.Now()
	var guard, directions sync.WaitGroup
	guard.Go(func() { s.guard(ctx) })
	var unsent error
	directions.Go(func() {
		defer close(s.sendDone)
		unsent = s.sending(ctx)
	})
	directions.Go(func() { s.receiving(ctx) })
	directions.Wait()
	over(errOver)
	guard.Wait()

	err := context.Cause(ctx)
	switch {
	case err == errOver:
		err = unsent
	case errors.Is(err, errUnread):
		s.unread = true
		err = nil
	case parent.Err() != nil:
		err = errSignal
	}
	switch {
	case err != nil:
		s.flow.SetLinger(0) // the peer shall not take it for a good end
	case s.opt.timeout > 0:
		s.flow.SetLinger(s.opt.timeout)
	}
	s.flow.SetDeadline(time.Time{})
	if cerr := s.flow.Close(); err == nil { // waits until all is delivered
		err = cerr
	}
	s.note.say("sent %s, received %s in %v", bytesText(s.own.sent.Load()), bytesText(s.own.received.Load()), time.Since(s.start).Round(time.Millisecond))
	return err
}

// guard ends the directions' calls with ctx, and everything after a long
// silence.
func (s *session) guard(ctx context.Context) {
	var silence <-chan time.Time
	var timer *time.Timer
	if s.opt.timeout > 0 {
		timer = time.NewTimer(s.opt.timeout)
		silence = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			s.flow.SetDeadline(time.Unix(1, 0))
			s.end.interrupt()
			return
		case <-silence:
			if left := s.opt.timeout - (time.Since(s.start) - time.Duration(s.activity.Load())); left > 0 {
				timer.Reset(left)
			} else {
				s.over(fmt.Errorf("nothing passed for %v", s.opt.timeout))
			}
		}
	}
}

// passed notes that n bytes have passed in one direction.
func (s *session) passed(own, total *atomic.Int64, n int) {
	own.Add(int64(n))
	total.Add(int64(n))
	if s.opt.timeout > 0 {
		s.activity.Store(int64(time.Since(s.start)))
	}
}

// sending sends until the end of the input and passes that on. It returns an
// error if something that was read was not sent.
func (s *session) sending(ctx context.Context) (unsent error) {
	err := s.send(ctx)
	if err == nil {
		err = s.endOfInput(ctx)
	}
	var lost *unsentError
	switch {
	case errors.As(err, &lost):
		// A peer that has closed may have sent something before: then it is
		// the receiving direction that ends the session.
		if !errors.Is(err, flow.ErrPeerClosed) {
			s.over(err)
		}
		return err
	case err == nil:
	case ctx.Err() == nil:
		s.over(err)
	case context.Cause(ctx) == errOver:
		if n := s.end.waiting(); n > 0 {
			return &unsentError{fmt.Errorf("%d bytes waited when the flow was over", n)}
		}
	}
	return nil
}

// endOfInput tells the peer that nothing more comes. If that cannot be told,
// the session may be over.
func (s *session) endOfInput(ctx context.Context) error {
	if ctx.Err() != nil && context.Cause(ctx) != errOver {
		return nil // a command that was killed has no good end
	}
	if s.opt.quit >= 0 {
		t := time.AfterFunc(s.opt.quit, func() { s.over(errOver) })
		context.AfterFunc(ctx, func() { t.Stop() })
	}
	err := s.flow.CloseWrite()
	cannot := errors.Is(err, layer.ErrNotSupported)
	if err != nil && !cannot && ctx.Err() == nil {
		return &unsentError{err: err}
	}
	if s.end.finished() || cannot && s.end.traits().closeAfterInput {
		return errOver
	}
	return nil
}

// receiving passes on what comes out of the flow until its end, and that too.
func (s *session) receiving(ctx context.Context) {
	err := s.receive(s.end.writeAll)
	if errors.Is(err, errUnread) && s.end.traits().discard {
		err = s.receive(func([][]byte) error { return nil })
	}
	if err == nil {
		err = s.end.finish()
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.over(err)
	case !s.flow.QoS().Reliable() || s.end.traits().closeAfterOutput:
		s.over(errOver) // only the end of both directions looks like this
	default:
		s.awaitClose(ctx)
	}
}

// closePoll is how often to look whether a peer that sends no more has left
// altogether.
const closePoll = 200 * time.Millisecond

// awaitClose ends the session when the peer, which sends no more, does not
// read any more either. Nothing announces that to who only waits for input.
func (s *session) awaitClose(ctx context.Context) {
	t := time.NewTicker(closePoll)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.sendDone:
			return
		case <-t.C:
			if err := s.flow.WritePacket(nil); err != nil && ctx.Err() == nil {
				s.over(errOver)
				return
			}
		}
	}
}
