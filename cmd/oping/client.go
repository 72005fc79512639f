// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/load"
)

// client measures one flow. One goroutine sends and receives: a hand-over
// between two would be part of what is measured.
type client struct {
	flow *o7s.Flow
	opt  options
	stats

	out    *bufio.Writer // lines of replies and statistics
	errors io.Writer

	start   time.Time
	stopped atomic.Bool   // by a signal
	armed   time.Duration // when the flow's deadline was last set
	buf     []byte        // request, resent with new numbers
	in      []byte        // reply
	next    uint32        // id that is not out of order
	end     string        // why the run ended
}

func newClient(flow *o7s.Flow, opt options, stdout, stderr io.Writer) *client {
	if opt.json {
		opt.quiet = true
	}
	return &client{
		flow: flow, opt: opt,
		out: bufio.NewWriterSize(stdout, 1<<16), errors: stderr,
		start: time.Now(),
		buf:   make([]byte, opt.size), in: make([]byte, maxSize),
		end: "done",
	}
}

// elapsed is the clock of the run.
func (c *client) elapsed() time.Duration { return time.Since(c.start) }

// run sends and receives until the end and prints the statistics.
func (c *client) run(ctx context.Context) {
	undo := context.AfterFunc(ctx, func() {
		// In this order: who sets a later deadline afterwards sees the mark.
		c.stopped.Store(true)
		c.flow.SetDeadline(time.Unix(1, 0))
	})
	defer undo()
	c.head()
	if c.opt.flood {
		c.flood()
	} else {
		c.paced()
	}
	elapsed := c.elapsed()
	if c.stopped.Load() {
		c.end = "signal"
	}
	if c.opt.json {
		c.printJSON(c.out, &c.opt, elapsed, c.end)
	} else {
		c.print(c.out, c.opt.name, elapsed)
	}
	c.out.Flush()
}

// head prints the first lines.
func (c *client) head() {
	if c.opt.quiet {
		return
	}
	packets := fmt.Sprintf("%d packets", c.opt.count)
	if c.opt.flood && c.opt.duration > 0 {
		packets = fmt.Sprintf("for %v", c.opt.duration)
	}
	if c.opt.spin {
		packets += ", busy-poll"
	}
	fmt.Fprintf(c.out, "Pinging %s with %d bytes of data (%s):\n\n", c.opt.name, c.opt.size, packets)
	c.out.Flush()
}

// say prints a notice that ends or disturbs the run.
func (c *client) say(format string, args ...any) {
	if c.opt.json {
		fmt.Fprintf(c.errors, format, args...)
		return
	}
	fmt.Fprintf(c.out, format, args...)
}

// fail ends the run because of an error of the flow.
func (c *client) fail(what string, err error) {
	if c.stopped.Load() {
		return
	}
	c.end = err.Error()
	// Whoever reads gets to know it by one, who writes by the other.
	if errors.Is(err, io.EOF) || errors.Is(err, flow.ErrPeerClosed) {
		c.end = "closed by the server"
		c.say("Server closed the flow.\n")
		return
	}
	c.say("%s\n", what)
	fmt.Fprintf(c.errors, "oping: %v\n", err)
}

// silent ends the run because nothing was heard for too long.
func (c *client) silent() {
	if c.stopped.Load() {
		return
	}
	c.end = "timeout"
	c.say("Server timed out.\n")
}

// send sends the request with the next id.
func (c *client) send(now time.Duration) error {
	putRequest(c.buf, uint32(c.sent), now)
	if err := c.flow.WritePacket(c.buf); err != nil {
		return err
	}
	c.sent++
	return nil
}

// arrived counts and prints a message of n bytes. It returns the id, or false
// if it was no reply to us.
func (c *client) arrived(n int, now time.Duration) (uint32, bool) {
	id, rtt, ok := parseReply(c.in[:n], now)
	if !ok {
		c.say("Invalid message on fd %d.\n", load.FirstFD)
		return 0, false
	}
	if int64(id) >= int64(c.sent) {
		c.say("Invalid id.\n")
		return 0, false
	}
	c.add(rtt)
	late := id < c.next
	if late {
		c.outOfOrder++
	} else {
		c.next = id + 1
	}
	if !c.opt.quiet {
		c.line(n, id, rtt, late)
	}
	return id, true
}

// line prints one reply.
func (c *client) line(n int, id uint32, rtt time.Duration, late bool) {
	if c.opt.timeOfDay && !c.opt.flood {
		now := time.Now()
		fmt.Fprintf(c.out, "[%d.%06d] ", now.Unix(), now.Nanosecond()/1000)
	}
	mark := ""
	if late {
		mark = " [out-of-order]"
	}
	k, unit := scale(float64(rtt))
	fmt.Fprintf(c.out, "%d bytes from %s: seq=%d time=%.3f %s%s\n", n, c.opt.name, id, float64(rtt)*k, unit, mark)
	if !c.opt.flood {
		c.out.Flush()
	}
}

// paced sends a request every interval, the first after one, and receives in
// between.
func (c *client) paced() {
	due, heard := c.opt.interval, time.Duration(0)
	for !c.stopped.Load() {
		now := c.elapsed()
		sending := c.sent < c.opt.count && (c.opt.duration == 0 || due <= c.opt.duration)
		if sending && now >= due {
			c.deadline(now + c.opt.giveUp())
			if err := c.send(now); err != nil {
				c.fail("Failed to send packet.", err)
				return
			}
			// A late start is not made up for: no burst.
			due = max(due+c.opt.interval, now+c.opt.interval/2)
			continue
		}
		if !sending && c.received >= c.sent {
			return
		}
		until := heard + c.opt.giveUp()
		if now >= until {
			c.silent()
			return
		}
		if sending {
			until = min(until, due)
		}
		c.deadline(until)
		if c.stopped.Load() {
			return
		}
		n, truncated, err := c.flow.ReadPacket(c.in)
		now = c.elapsed()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			c.fail("Failed to read packet.", err)
			return
		case truncated:
			c.say("Invalid message on fd %d.\n", load.FirstFD)
		default:
			if _, ok := c.arrived(n, now); ok {
				heard = now
			}
		}
	}
}

// deadline sets the time on the run's clock at which reads and writes end.
func (c *client) deadline(at time.Duration) { c.flow.SetDeadline(c.start.Add(at)) }

// flood sends the next request as soon as the reply to the last is in, or is
// given up. The clock is read once per round trip: the arrival of a reply is
// the start of the next request.
func (c *client) flood() {
	if c.opt.spin {
		c.flow.SetNonblock(true)
		defer c.flow.SetNonblock(false)
	}
	now := c.elapsed()
	heard := now
	c.arm(now)
	for c.sent < c.opt.count && (c.opt.duration == 0 || now < c.opt.duration) && !c.stopped.Load() {
		sent := now
		if err := c.send(now); err != nil && !temporary(err) {
			c.fail("Failed to send packet.", err)
			return
		}
		var ok bool
		var err error
		if now, ok, err = c.await(uint32(c.sent-1), sent); err != nil {
			c.fail("Failed to read packet.", err)
			return
		}
		if ok {
			heard = now
		} else if now-heard >= c.opt.giveUp() {
			c.silent()
			return
		}
	}
}

// arm sets the flow's deadline one timeout ahead, but not for every packet: a
// deadline costs more than a packet. So a lost one is given up after three
// quarters of the timeout to the whole of it.
func (c *client) arm(now time.Duration) {
	c.armed = now
	c.deadline(now + c.opt.timeout)
}

// await reads until the reply to id is in or given up and returns the time of
// that.
func (c *client) await(id uint32, sent time.Duration) (now time.Duration, ok bool, err error) {
	if sent-c.armed > c.opt.timeout/4 {
		c.arm(sent)
	}
	for !c.stopped.Load() {
		n, truncated, err := c.flow.ReadPacket(c.in)
		now = c.elapsed()
		switch {
		case err == nil && !truncated:
			if got, ok := c.arrived(n, now); ok && got == id {
				return now, true, nil
			}
		case err == nil:
			c.say("Invalid message on fd %d.\n", load.FirstFD)
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.arm(now)
			return now, false, nil
		case !temporary(err):
			return now, false, err
		}
		if now-sent >= c.opt.timeout {
			return now, false, nil
		}
	}
	return now, false, nil
}

// temporary reports whether a call of a flow in non-blocking mode only found
// nothing to do.
func temporary(err error) bool { return errors.Is(err, syscall.EAGAIN) }
