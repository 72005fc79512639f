// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/load"
	"o7gw/o7s/packet"
)

const (
	// lineLimit is how many lines on single packets are printed in a second
	// and for a flow. A flood would measure the terminal.
	lineLimit = 1000
)

// serve is the server mode: it accepts until a signal comes or the daemon is
// gone.
func serve(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	out := newOutput(opt, stdout, stderr)
	l, err := stack.Listen(ctx, opt.name)
	if err != nil {
		out.Fail("Failed to listen.", err)
		return 1
	}
	defer l.Close()
	out.course("Ouroboros perf server started.\n")
	s := load.Server{
		Handle: func(ctx context.Context, fd int, flow *o7s.Flow) {
			f := served{flow: flow, fd: fd, opt: opt, out: out}
			f.run(ctx)
		},
		Failed: func(err error, _ bool) { out.Fail("Failed to accept flow.", err) },
	}
	if s.Serve(ctx, l) != nil {
		return 1
	}
	return 0
}

// served is the flow of one client.
type served struct {
	flow *o7s.Flow
	fd   int
	opt  options
	out  *output
	test kind
	arrived

	lines  []byte // to be printed
	second int64  // of the lines printed last
	left   int    // lines that may be printed in that second
}

// run serves the flow to its end and prints the statistics.
func (s *served) run(ctx context.Context) {
	s.out.course("New flow %d.\n", s.fd)
	if !s.config(ctx) {
		return
	}
	s.out.course("%s", s.test.title())
	end := s.ending(ctx, s.receive())
	r := &result{
		Role: "server", Name: s.flow.Name(), FD: s.fd, QoS: s.flow.QoS().String(), Test: s.test.String(),
		Received: s.figures(s.seq.Expected()), End: end,
	}
	r.took(load.Span(s.first, s.last, s.seq.Received))
	s.out.result(r)
}

// config reads the first message.
func (s *served) config(ctx context.Context) bool {
	s.flow.SetReadDeadline(time.Now().Add(s.opt.timeout))
	buf := make([]byte, configSize+1)
	n, truncated, err := s.flow.ReadPacket(buf)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		s.out.Fail("Failed to read config message.", fmt.Errorf("flow %d: %w", s.fd, err))
		return false
	}
	var ok bool
	if s.test, ok = parseConfig(buf[:n]); !ok || truncated {
		s.out.Say("Invalid config message.\n")
		return false
	}
	return true
}

// receive takes all messages, and sends them back in a bidirectional test. It
// returns why it ended, never nil.
func (s *served) receive() error {
	var batch [packet.BatchSize]*packet.Buffer
	var armed time.Time
	for {
		// A deadline costs more than a packet: move it now and then.
		if now := time.Now(); now.Sub(armed) > s.opt.timeout/4 {
			armed = now
			s.flow.SetDeadline(now.Add(s.opt.timeout))
		}
		n, err := s.flow.ReadBatch(batch[:])
		if n > 0 {
			s.count(batch[:n], time.Now())
			if werr := s.dispose(batch[:n]); werr != nil {
				return werr
			}
		}
		if err != nil {
			return err
		}
	}
}

// dispose sends messages back, or releases them.
func (s *served) dispose(batch []*packet.Buffer) error {
	if s.test == bi {
		return s.flow.WriteBatch(batch)
	}
	packet.ReleaseBatch(batch)
	return nil
}

// count counts messages, and prints their numbers in a unidirectional test.
func (s *served) count(batch []*packet.Buffer, now time.Time) {
	s.at(now)
	show := s.test == uni && !s.opt.quiet && !s.opt.json
	if sec := now.Unix(); show && sec != s.second {
		s.second, s.left = sec, lineLimit
	}
	s.lines = s.lines[:0]
	for _, b := range batch {
		if n, ok := s.add(b); ok && show && s.left > 0 {
			s.left--
			s.line(n, now)
		}
	}
	if len(s.lines) > 0 {
		s.out.Write(s.lines)
	}
}

// line adds the line of one message.
func (s *served) line(n uint32, now time.Time) {
	s.lines = append(s.lines, "Seqno "...)
	s.lines = strconv.AppendUint(s.lines, uint64(n), 10)
	s.lines = fmt.Appendf(s.lines, " from fd %d: %d.%06d\n", s.fd, now.Unix(), now.Nanosecond()/1000)
}

// ending tells why the flow is over and returns the word for it.
func (s *served) ending(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "signal"
	case errors.Is(err, io.EOF) || errors.Is(err, flow.ErrPeerClosed):
		return "done"
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.out.course("Flow %d timed out.\n", s.fd)
		return "timeout"
	}
	s.out.Fail(fmt.Sprintf("Error on flow %d.", s.fd), err)
	return err.Error()
}
