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

const (
	// closeWait is how long a reliable flow may make no progress at the end,
	// stopWait how long after a signal.
	closeWait = 10 * time.Second
	stopWait  = 500 * time.Millisecond
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
	out := &output{json: opt.json, stdout: stdout, stderr: stderr}
	flow, err := stack.Dial(ctx, opt.name, o7s.WithQoS(opt.qos))
	if err != nil {
		out.fail("Failed to allocate flow.", err)
		return failed
	}
	defer flow.Close()
	if opt.size > flow.MTU() {
		opt.size = flow.MTU()
		out.say("Packet size truncated to %d bytes.\n", opt.size)
	}
	out.say("Client started, duration %s, rate %.0f b/s, size %d B.\n", text(opt.duration), opt.rate, opt.size)
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
		err = deliver(flow, stopped)
		elapsed = time.Since(start)
	}
	out.print(report{
		Kind: sent, Name: opt.name, QoS: opt.qos.String(), Size: opt.size,
		Packets: s.Sent(), Bytes: s.Sent() * uint64(opt.size), End: out.ending(err, stopped),
	}, elapsed)
	return 0
}

// deliver waits until the server has everything: only then a test on a reliable
// flow is over.
func deliver(flow *o7s.Flow, stopped bool) error {
	flow.SetLinger(closeWait)
	if stopped {
		flow.SetLinger(stopWait)
	}
	return flow.Close()
}

// ending tells of the error with which a test ended, and returns the word for
// the end.
func (o *output) ending(err error, stopped bool) string {
	switch {
	case stopped:
		return "signal"
	case err == nil:
		return "done"
	case errors.Is(err, io.EOF) || errors.Is(err, flow.ErrPeerClosed):
		o.say("Server closed the flow.\n")
		return "closed by the server"
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.say("Server timed out.\n")
		return "timeout"
	}
	o.fail("Test failed.", err)
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
