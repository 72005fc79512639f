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
	"o7gw/o7s/flow"
	"o7gw/o7s/load"
)

const (
	// replyWait is how long a reply may take, beyond the time between two
	// packets.
	replyWait = 2 * time.Second
)

// client tests one flow.
type client struct {
	flow   *o7s.Flow
	opt    options
	out    *output
	sender load.Sender
	back   *replies // nil in a unidirectional test
}

func newClient(f *o7s.Flow, opt options, out *output) *client {
	c := &client{
		flow: f, opt: opt, out: out,
		sender: load.Sender{Flow: f, Size: opt.size, Rate: opt.rate, Spin: !opt.sleep, Stamp: putNumber},
	}
	if opt.flood {
		c.sender.Rate = 0
	}
	if opt.test == bi {
		c.back = newReplies(f, opt.size, replyWait+c.gap())
	}
	return c
}

// gap is the time between two packets.
func (c *client) gap() time.Duration {
	if c.opt.flood {
		return 0
	}
	return time.Duration(min(float64(c.opt.size)*8/c.opt.rate*1e9, 1<<60))
}

// run runs the test and prints the statistics. It returns the exit status.
func (c *client) run(ctx context.Context) int {
	c.out.course("%s", c.opt.test.title())
	if err := c.flow.WritePacket(c.opt.test.config()); err != nil {
		c.out.Fail("Failed to send config message.", err)
		return 1
	}
	load.Pause(ctx, c.opt.settle)
	c.head()
	c.out.result(c.result(c.transfer(ctx)))
	return 0
}

// head says what comes.
func (c *client) head() {
	seconds := c.opt.duration.Seconds()
	if c.opt.flood {
		c.out.course("Flooding %s with %d byte packets for %v seconds.\n\n", c.opt.name, c.opt.size, seconds)
		return
	}
	c.out.course("Sending %d byte packets for %v s to %s at %.3f Mb/s.\n\n", c.opt.size, seconds, c.opt.name, c.opt.rate/1e6)
}

// transfer sends, waits for what comes back and returns how long the packets
// were under way and how it ended.
func (c *client) transfer(signalled context.Context) (elapsed time.Duration, end string) {
	ctx, cancel := context.WithCancel(signalled)
	defer cancel()
	var reading sync.WaitGroup
	var readErr error
	start := time.Now()
	if c.back != nil {
		reading.Go(func() {
			readErr = c.back.run()
			cancel() // nothing to send for
		})
	}
	hide := load.ShowProgress(c.out.Stderr, c.progress())
	err := c.sender.Run(ctx, c.opt.duration)
	hide()
	elapsed = time.Since(start)
	stopped := signalled.Err() != nil
	if c.back != nil {
		patience := replyWait
		if stopped {
			patience = load.StopWait
		}
		c.back.expect(c.sender.Sent(), patience)
	}
	c.out.course("Test finished.\n")
	reading.Wait()
	if c.back != nil {
		elapsed = max(elapsed, c.back.last.Sub(start))
	}
	if err == nil {
		err = readErr
	}
	if err == nil && c.opt.qos.Reliable() {
		err = load.Deliver(c.flow, stopped)
		if c.back == nil { // else the replies were the end
			elapsed = time.Since(start)
		}
	}
	return elapsed, c.ending(err, stopped)
}

// ending tells of an error and returns the word for how the test ended.
func (c *client) ending(err error, stopped bool) string {
	if c.back != nil && c.back.invalid > 0 {
		c.out.Say("Invalid message on fd %d.\n", load.FirstFD)
	}
	switch {
	case stopped:
		return "signal"
	case err == nil:
		return "done"
	case errors.Is(err, errSilent) || errors.Is(err, os.ErrDeadlineExceeded):
		c.out.Say("Server timed out.\n")
		return errSilent.Error()
	case errors.Is(err, io.EOF) || errors.Is(err, flow.ErrPeerClosed):
		c.out.Say("Server closed the flow.\n")
		return "closed by the server"
	}
	c.out.Fail("Test failed.", err)
	return err.Error()
}

func (c *client) result(elapsed time.Duration, end string) *result {
	sent := c.sender.Sent()
	r := &result{
		Role: "client", Name: c.opt.name, QoS: c.opt.qos.String(), Test: c.opt.test.String(), Size: c.opt.size,
		Sent: &count{sent, sent * uint64(c.opt.size)}, End: end,
	}
	if c.back != nil {
		r.Received = c.back.figures(sent)
	}
	r.took(elapsed)
	return r
}

// progress returns what makes the line of progress.
func (c *client) progress() func() string {
	start := time.Now()
	size := uint64(c.opt.size)
	var out, in load.Meter
	out.Rate(0)
	in.Rate(0)
	return func() string {
		sent := c.sender.Sent()
		line := fmt.Sprintf("%.0f of %v s: %d packets sent, %s", time.Since(start).Seconds(), c.opt.duration.Seconds(),
			sent, load.RateText(out.Rate(sent*size)*8))
		if c.back != nil {
			got := c.back.received.Load()
			line += fmt.Sprintf("; %d received, %s", got, load.RateText(in.Rate(got*size)*8))
		}
		return line
	}
}
