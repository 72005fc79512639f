// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/load"
)

// numberSize is the space, in bytes, of the number at the front of a packet of
// constant rate.
const numberSize = 8

// putNumber numbers a packet, in the host order of the prototype, if there is
// room; nobody reads it.
func putNumber(p []byte, n uint64) {
	if len(p) >= numberSize {
		binary.LittleEndian.PutUint64(p, n)
	}
}

// send is the client.
func send(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	out := &load.Output{Tool: "ocbr", JSON: opt.json, Stdout: stdout, Stderr: stderr}
	flow, err := stack.Dial(ctx, opt.name, o7s.WithQoS(opt.qos))
	if err != nil {
		out.Fail("Failed to allocate flow.", err)
		return failed
	}
	defer flow.Close()
	if opt.size > flow.MTU() {
		opt.size = flow.MTU()
		out.Say("Packet size truncated to %d bytes.\n", opt.size)
	}
	out.Say("Client started, duration %s, rate %.0f b/s, size %d B.\n", text(opt.duration), opt.rate, opt.size)
	s := &load.Sender{Flow: flow, Size: opt.size, Rate: opt.rate, Spin: opt.spin, Stamp: putNumber}
	if opt.flood {
		s.Rate, s.Stamp = 0, nil
	}
	start := time.Now()
	hide := load.ShowProgress(stderr, progress(s, opt))
	err = s.Run(ctx, opt.duration)
	hide()
	elapsed := time.Since(start)
	stopped := ctx.Err() != nil
	if err == nil && opt.qos.Reliable() {
		err = load.Deliver(flow, stopped)
		elapsed = time.Since(start)
	}
	report{
		Kind: sent, Name: opt.name, QoS: opt.qos.String(), Size: opt.size,
		Packets: s.Sent(), Bytes: s.Sent() * uint64(opt.size), End: ending(out, err, stopped),
	}.print(out, elapsed)
	return 0
}

// ending tells of the error with which a test ended, and returns the word for
// the end.
func ending(o *load.Output, err error, stopped bool) string {
	switch {
	case stopped:
		return "signal"
	case err == nil:
		return "done"
	case errors.Is(err, io.EOF) || errors.Is(err, flow.ErrPeerClosed):
		o.Say("Server closed the flow.\n")
		return "closed by the server"
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.Say("Server timed out.\n")
		return "timeout"
	}
	o.Fail("Test failed.", err)
	return err.Error()
}

// progress returns what makes the line of progress.
func progress(s *load.Sender, opt options) func() string {
	start := time.Now()
	var m load.Meter
	m.Rate(0)
	return func() string {
		n := s.Sent()
		return fmt.Sprintf("%.0f of %s s: %d packets sent, %s", time.Since(start).Seconds(), text(opt.duration),
			n, load.RateText(m.Rate(n*uint64(opt.size))*8))
	}
}
