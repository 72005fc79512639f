// SPDX-License-Identifier: BSD-3-Clause

// Operf measures the bandwidth of a flow between a client and a server.
// Command line, output and payload bytes are those of the prototype's tool
// (spec 40 §6.3), whose defects are mended: it sends, for as long as it is told;
// both ends say what was sent and what arrived; and a server outlives clients
// that say nothing or rubbish.
//
// The exit status is 0 once the test has begun, whatever was lost, and after the
// usage text; 1 if there is no flow, or the command line cannot be.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"o7gw/o7s"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opt, err := parseOptions(args, stdout)
	var line lineError
	switch {
	case errors.As(err, &line):
		fmt.Fprintln(stdout, err)
		return 1
	case err != nil:
		if !errors.Is(err, pflag.ErrHelp) {
			fmt.Fprintf(stderr, "operf: %v\n", err)
		}
		fmt.Fprint(stdout, usage)
		return 0
	}
	stack, err := o7s.Connect(ctx, opt.runDir)
	if err != nil {
		fmt.Fprintf(stderr, "operf: %v\n", err)
		return 1
	}
	defer stack.Close()
	if opt.listen {
		return serve(ctx, stack, opt, stdout, stderr)
	}
	return test(ctx, stack, opt, stdout, stderr)
}

// test allocates the flow and runs the client.
func test(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	out := newOutput(opt, stdout, stderr)
	flow, err := stack.Dial(ctx, opt.name, o7s.WithQoS(opt.qos))
	if err != nil {
		out.Fail("Failed to allocate flow.", err)
		return 1
	}
	defer flow.Close()
	if opt.size > flow.MTU() {
		opt.size = flow.MTU()
		out.Say("Packet size truncated to %d bytes.\n", opt.size)
	}
	return newClient(flow, opt, out).run(ctx)
}
