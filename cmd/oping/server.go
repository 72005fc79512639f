// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/load"
)

const (
	// quietLimit is the silence after which a flow of a client counts as
	// left. The longest interval of a client is 10 s; the prototype's 10 s
	// cut those off.
	quietLimit = 15 * time.Second
	// linger is how long the end of a flow waits for a client that takes nothing:
	// nobody misses a ping.
	linger = time.Second
)

// server answers requests of many clients.
type server struct {
	opt    options
	stderr io.Writer

	mu  sync.Mutex
	out io.Writer // guarded by mu
}

// serve is the server mode: it accepts until a signal comes or the listener
// ends.
func serve(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	s := &server{opt: opt, stderr: stderr, out: stdout}
	l, err := stack.Listen(ctx, opt.name)
	if err != nil {
		fmt.Fprintf(stderr, "oping: %v\n", err)
		return 1
	}
	defer l.Close()
	if opt.busy {
		s.say("Ouroboros ping server started. [busy-poll]\n")
		return s.busy(ctx, l)
	}
	s.say("Ouroboros ping server started.\n")
	flows := load.Server{
		Handle: s.answerAll,
		Failed: func(err error, last bool) {
			s.say("Failed to accept flow: %d \n", number(err))
			if last {
				fmt.Fprintf(stderr, "oping: %v\n", err)
			}
		},
		StopLinger: linger,
	}
	if flows.Serve(ctx, l) != nil {
		return 1
	}
	return 0
}

func (s *server) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format, args...)
}

// answerAll serves one flow until its end, a long silence or a signal.
func (s *server) answerAll(ctx context.Context, fd int, flow *o7s.Flow) {
	flow.SetLinger(linger)
	s.say("New flow %d.\n", fd)
	if s.opt.poll {
		flow.SetNonblock(true)
	}
	buf := make([]byte, maxSize)
	var armed time.Time
	for {
		// A deadline costs more than a small packet: move it once a second.
		if now := time.Now(); now.Sub(armed) > time.Second {
			armed = now
			flow.SetDeadline(now.Add(quietLimit))
		}
		n, truncated, err := flow.ReadPacket(buf)
		for temporary(err) && time.Since(armed) < quietLimit {
			n, truncated, err = flow.ReadPacket(buf)
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return
		case errors.Is(err, os.ErrDeadlineExceeded) || temporary(err):
			s.say("Flow %d timed out.\n", fd)
			return
		case err != nil:
			fmt.Fprintf(s.stderr, "oping: flow %d: %v\n", fd, err)
			return
		}
		if !s.opt.quiet {
			s.say("Received %d bytes on fd %d.\n", n, fd)
		}
		if truncated || !answer(buf[:n]) {
			s.say("Invalid message on fd %d.\n", fd)
			continue
		}
		if err := flow.WritePacket(buf[:n]); err != nil && !temporary(err) {
			s.say("Error writing to flow (fd %d).\n", fd)
		}
	}
}

// busy accepts one flow and spins on it, for the lowest latency.
func (s *server) busy(ctx context.Context, l *o7s.Listener) int {
	flow, err := l.AcceptFlow(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return 0
		}
		s.say("Failed to accept flow: %d \n", number(err))
		return 1
	}
	defer flow.Close()
	s.say("New flow %d (busy-poll).\n", load.FirstFD)
	flow.SetNonblock(true)
	buf := make([]byte, maxSize)
	for ctx.Err() == nil {
		n, truncated, err := flow.ReadPacket(buf)
		switch {
		case temporary(err):
		case err != nil:
			return 0
		case !truncated && answer(buf[:n]):
			if err := flow.WritePacket(buf[:n]); err != nil && !temporary(err) {
				s.say("Error writing to flow (fd %d).\n", load.FirstFD)
			}
		}
	}
	return 0
}
