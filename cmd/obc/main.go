// SPDX-License-Identifier: BSD-3-Clause

// Obc sends a message to all members of a broadcast layer, or prints what
// they send. Command line, output and bytes on the wire are those of the prototype's
// tool (spec 40 §6.5), whose defects are mended: long messages are printed
// whole, nothing waits for ever that was told not to, and standard error says why something
// failed.
//
// The exit status is 0 after sending, after a signal, and after the time or the
// messages asked for; 255 if joining or sending failed, or if the time was over
// before the messages had come; 1 without a name, without a daemon, and when
// reading failed.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"o7gw/o7s"
	"o7gw/o7s/packet"
)

// failed is the status when a message did not get through.
const failed = 255

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opt, err := parseOptions(args)
	switch {
	case err == errNoName:
		fmt.Fprintf(stdout, "Please specify a name.\n\n%s", usage)
		return 1
	case err != nil:
		if !errors.Is(err, pflag.ErrHelp) {
			fmt.Fprintf(stderr, "obc: %v\n", err)
		}
		fmt.Fprint(stdout, usage)
		return 0
	}
	stack, err := o7s.Connect(ctx, opt.runDir)
	if err != nil {
		fmt.Fprintf(stderr, "obc: %v\n", err)
		return 1
	}
	defer stack.Close()
	o := &output{opt: opt, stdout: stdout, stderr: stderr}
	if opt.listen {
		return read(ctx, stack, o)
	}
	return write(ctx, stack, o)
}

// output prints lines, or with --json objects.
type output struct {
	opt            options
	stdout, stderr io.Writer
}

// event is a line, and with --json an object.
type event struct {
	Event   string `json:"event"` // start, flow, message, sent or error
	Text    string `json:"text"`  // the line without --json
	Message string `json:"message,omitempty"`
	Bytes   int    `json:"bytes,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func (o *output) say(e event) {
	switch {
	case o.opt.json:
		json.NewEncoder(o.stdout).Encode(e)
	case e.Text != "":
		fmt.Fprintln(o.stdout, e.Text)
	}
}

// fail says what failed, and why.
func (o *output) fail(what string, err error) {
	o.say(event{Event: "error", Text: what, Reason: err.Error()})
	fmt.Fprintf(o.stderr, "obc: %v\n", err)
}

// join joins the layer. The flow's calls end with ctx.
func join(ctx context.Context, stack *o7s.Stack, o *output) (flow *o7s.Flow, leave func(), err error) {
	jctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if flow, err = stack.Join(jctx, o.opt.name); err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { flow.SetDeadline(time.Unix(1, 0)) })
	return flow, func() { stop(); flow.Close() }, nil
}

// within limits a run in time.
func (o *output) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.opt.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, o.opt.timeout)
}

// write sends the message.
func write(signals context.Context, stack *o7s.Stack, o *output) int {
	ctx, cancel := o.within(signals)
	defer cancel()
	flow, leave, err := join(ctx, stack, o)
	switch {
	case signals.Err() != nil:
		return 0
	case err != nil:
		o.fail("Failed to join broadcast.", err)
		return failed
	}
	defer leave()
	msg := append([]byte(o.opt.message), 0)
	for i := range o.opt.count {
		if i > 0 {
			select {
			case <-time.After(o.opt.interval):
			case <-ctx.Done():
			}
		}
		if err = ctx.Err(); err == nil {
			err = flow.WritePacket(msg)
		}
		switch {
		case signals.Err() != nil:
			return 0
		case err != nil:
			o.fail("Failed to write packet.", fmt.Errorf("message %d of %d: %w", i+1, o.opt.count, err))
			return failed
		}
		o.say(event{Event: "sent", Message: o.opt.message, Bytes: len(msg)})
	}
	return 0
}

// read prints messages.
func read(signals context.Context, stack *o7s.Stack, o *output) int {
	ctx, cancel := o.within(signals)
	defer cancel()
	o.say(event{Event: "start", Text: "Starting a reader."})
	flow, leave, err := join(ctx, stack, o)
	switch {
	case signals.Err() != nil:
		return 0
	case err != nil:
		o.fail("Failed to join broadcast.", err)
		return failed
	}
	defer leave()
	o.say(event{Event: "flow", Text: "New flow."})
	buf := make([]byte, packet.MaxPayload)
	for got := uint(0); o.opt.count == 0 || got < o.opt.count; got++ {
		n, _, err := flow.ReadPacket(buf)
		switch {
		case signals.Err() != nil:
			return 0
		case err != nil && ctx.Err() != nil: // the time is over
			return o.timeOver(got)
		case err != nil:
			o.fail("Failed to read.", err)
			return 1
		}
		m := text(buf[:n])
		o.say(event{Event: "message", Text: fmt.Sprintf("Message is %s.", m), Message: string(m), Bytes: n})
	}
	return 0
}

// timeOver ends a reader that has got some messages.
func (o *output) timeOver(got uint) int {
	if o.opt.count == 0 {
		return 0
	}
	o.fail("Failed to read.", fmt.Errorf("%d of %d messages within %v", got, o.opt.count, o.opt.timeout))
	return failed
}

// text is what the prototype prints of a message: up to the first NUL.
func text(p []byte) []byte {
	before, _, _ := bytes.Cut(p, []byte{0})
	return before
}
