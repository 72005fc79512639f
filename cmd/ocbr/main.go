// SPDX-License-Identifier: BSD-3-Clause

// Ocbr sends packets from a client to a server at a constant bit rate; the server
// reports at intervals what arrives. Command line, output and payload bytes are
// those of the prototype's tool (spec 40 §6.4), whose defects are mended: a
// server has no limit of 10 flows and loses none, and sees the end of a client
// at once.
//
// The exit status is 0 after a test, also one that a signal has ended, and after
// the usage text; 255 if a client gets no flow; 1 if the command line cannot be.
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

// failed is the status of a client without a flow.
const failed = 255

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opt, err := parseOptions(args)
	var line lineError
	switch {
	case errors.Is(err, errNoServer):
		fmt.Fprintln(stdout, err)
		fmt.Fprint(stdout, usage)
		return 1
	case errors.As(err, &line):
		fmt.Fprintln(stdout, err)
		return 1
	case err != nil:
		if !errors.Is(err, pflag.ErrHelp) {
			fmt.Fprintf(stderr, "ocbr: %v\n", err)
		}
		fmt.Fprint(stdout, usage)
		return 0
	}
	stack, err := o7s.Connect(ctx, opt.runDir)
	if err != nil {
		fmt.Fprintf(stderr, "ocbr: %v\n", err)
		return 1
	}
	defer stack.Close()
	if opt.listen {
		return serve(ctx, stack, opt, stdout, stderr)
	}
	return send(ctx, stack, opt, stdout, stderr)
}
