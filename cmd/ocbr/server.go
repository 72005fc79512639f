// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/load"
	"o7gw/o7s/packet"
)

// serve is the server mode: it accepts until a signal comes or the daemon is
// gone.
func serve(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	out := &load.Output{Tool: "ocbr", JSON: opt.json, Stdout: stdout, Stderr: stderr}
	l, err := stack.Listen(ctx, opt.name)
	if err != nil {
		out.Fail("Failed to listen.", err)
		return 1
	}
	defer l.Close()
	out.Say("Server started, interval is %s s, timeout is %s s.\n", text(opt.interval), text(opt.timeout))
	s := load.Server{
		Handle: func(ctx context.Context, fd int, flow *o7s.Flow) {
			out.Say("New flow.\n")
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
	out  *load.Output

	packets, bytes uint64    // in all
	first, last    time.Time // arrival
	reported       struct {  // with the last report
		at             time.Time
		packets, bytes uint64
	}
}

// run counts what arrives, whatever it is, and reports, until the client leaves
// or is silent for too long.
func (s *served) run(ctx context.Context) {
	s.reported.at = time.Now()
	s.last = s.reported.at
	end := s.ending(ctx, s.receive())
	s.reportInterval(time.Now())
	s.report(total, s.packets, s.bytes, end).print(s.out, load.Span(s.first, s.last, s.packets))
}

// receive takes packets until the end. It returns why that came, never nil.
func (s *served) receive() error {
	var batch [packet.BatchSize]*packet.Buffer
	for {
		due := s.reported.at.Add(s.opt.interval)
		if limit := s.last.Add(s.opt.timeout); limit.Before(due) {
			due = limit
		}
		s.flow.SetReadDeadline(due)
		if err := s.take(batch[:], due); err != nil {
			return err
		}
		now := time.Now()
		if now.Sub(s.reported.at) >= s.opt.interval {
			s.reportInterval(now)
		}
		if now.Sub(s.last) >= s.opt.timeout {
			return os.ErrDeadlineExceeded
		}
	}
}

// take takes packets until the deadline that was set.
func (s *served) take(batch []*packet.Buffer, until time.Time) error {
	for {
		n, err := s.flow.ReadBatch(batch)
		now := time.Now()
		if n > 0 {
			s.count(batch[:n], now)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		case !now.Before(until): // a flow that is never empty meets no deadline
			return nil
		}
	}
}

func (s *served) count(batch []*packet.Buffer, now time.Time) {
	if s.packets == 0 {
		s.first = now
	}
	s.last = now
	s.packets += uint64(len(batch))
	for _, b := range batch {
		s.bytes += uint64(b.Len())
	}
	packet.ReleaseBatch(batch)
}

// reportInterval reports what came since the last report.
func (s *served) reportInterval(now time.Time) {
	r := &s.reported
	s.report(interval, s.packets-r.packets, s.bytes-r.bytes, "").print(s.out, now.Sub(r.at))
	r.at, r.packets, r.bytes = now, s.packets, s.bytes
}

func (s *served) report(kind string, packets, bytes uint64, end string) report {
	return report{
		Kind: kind, Name: s.flow.Name(), QoS: s.flow.QoS().String(), FD: s.fd,
		Packets: packets, Bytes: bytes, End: end,
	}
}

// ending tells why a flow is over, and returns the word for it.
func (s *served) ending(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "signal"
	case errors.Is(err, io.EOF):
		s.out.Say("Test on flow %d ended\n", s.fd)
		return "done"
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.out.Say("Test on flow %d timed out\n", s.fd)
		return "timeout"
	}
	s.out.Fail(fmt.Sprintf("Test on flow %d failed", s.fd), err)
	return err.Error()
}
