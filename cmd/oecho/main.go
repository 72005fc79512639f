// SPDX-License-Identifier: BSD-3-Clause

// Oecho sends one message to a server and prints what comes back. Command
// line, output and payload bytes are those of the prototype's tool (spec 40
// §6.1), whose defects are mended: a client does not wait for ever, and a
// silent client does not hold up a server.
//
// The exit status is 0 after an echo and after the usage text, 255 if a client
// failed, as in the prototype; a server that cannot go on returns 1.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"o7gw/o7s"
)

const (
	defaultName = "oecho"
	greeting    = "Client says hi!\x00"
	maxMessage  = 256 // bytes
	// messageWait is how long a server waits for the message of a client.
	messageWait = 10 * time.Second
)

// usage is the prototype's text and the options added to it.
const usage = `Usage: oecho [OPTION]...
Sends an echo between a server and a client

  -l, --listen              Run in server mode
  -n, --name                Name of the server (default oecho); a server
                            given one listens on it, else on the names
                            it is bound to
  -W, --timeout             Seconds that a client waits (default 10)
      --run-dir             Directory of the daemon to use
      --help                Display this help text and exit
`

// failed is the status of a client without an echo.
const failed = 255

type options struct {
	listen  bool
	name    string
	named   bool // the user gave a name
	timeout time.Duration
	runDir  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opt, err := parseOptions(args)
	if err != nil {
		if !errors.Is(err, pflag.ErrHelp) {
			fmt.Fprintf(stderr, "oecho: %v\n", err)
		}
		fmt.Fprint(stdout, usage)
		return 0
	}
	stack, err := o7s.Connect(ctx, opt.runDir)
	if err != nil {
		fmt.Fprintf(stderr, "oecho: %v\n", err)
		return 1
	}
	defer stack.Close()
	if opt.listen {
		return serve(ctx, stack, opt, stdout, stderr)
	}
	return greet(ctx, stack, opt, stdout, stderr)
}

func parseOptions(args []string) (options, error) {
	var o options
	var seconds uint
	f := pflag.NewFlagSet("oecho", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.BoolVarP(&o.listen, "listen", "l", false, "")
	f.StringVarP(&o.name, "name", "n", defaultName, "")
	f.UintVarP(&seconds, "timeout", "W", 10, "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	o.named = f.Changed("name")
	o.timeout = time.Duration(min(seconds, 1<<31)) * time.Second
	return o, nil
}

// greet is the client.
func greet(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, opt.timeout)
	defer cancel()
	fail := func(what string, err error) int {
		fmt.Fprintln(stdout, what)
		fmt.Fprintf(stderr, "oecho: %v\n", err)
		return failed
	}
	flow, err := stack.Dial(ctx, opt.name)
	if err != nil {
		return fail("Failed to allocate flow.", err)
	}
	defer flow.Close()
	defer context.AfterFunc(ctx, func() { flow.SetDeadline(time.Unix(1, 0)) })()
	if err := flow.WritePacket([]byte(greeting)); err != nil {
		return fail("Failed to write packet.", err)
	}
	buf := make([]byte, maxMessage)
	n, _, err := flow.ReadPacket(buf)
	if err != nil {
		return fail("Failed to read packet.", err)
	}
	fmt.Fprintf(stdout, "Server replied with %s\n", text(buf[:n]))
	return 0
}

// text is what the prototype prints of a message: up to the first NUL.
func text(p []byte) []byte {
	before, _, _ := bytes.Cut(p, []byte{0})
	return before
}

// serve echoes until a signal comes or the listener ends.
func serve(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	name := ""
	if opt.named {
		name = opt.name
	}
	l, err := stack.Listen(ctx, name)
	if err != nil {
		fmt.Fprintf(stderr, "oecho: %v\n", err)
		return 1
	}
	defer l.Close()
	out := &lines{w: stdout}
	out.printf("Starting the server.\n")
	var flows sync.WaitGroup
	defer flows.Wait()
	for {
		flow, err := l.AcceptFlow(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				flow.Close()
			}
			return 0
		case err != nil:
			out.printf("Failed to accept flow.\n")
			fmt.Fprintf(stderr, "oecho: %v\n", err)
			return 1
		}
		out.printf("New flow.\n")
		flows.Go(func() { echo(ctx, flow, out, stderr) })
	}
}

// lines is standard output for several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format, args...)
}

// echo returns one message of a client.
func echo(ctx context.Context, flow *o7s.Flow, out *lines, stderr io.Writer) {
	defer flow.Close()
	defer context.AfterFunc(ctx, func() { flow.Close() })()
	flow.SetDeadline(time.Now().Add(messageWait))
	buf := make([]byte, maxMessage)
	n, _, err := flow.ReadPacket(buf)
	if err != nil {
		if ctx.Err() == nil {
			out.printf("Failed to read packet.\n")
			fmt.Fprintf(stderr, "oecho: %v\n", err)
		}
		return
	}
	out.printf("Message from client is %s.\n", text(buf[:n]))
	if err := flow.WritePacket(buf[:n]); err != nil {
		out.printf("Failed to write packet.\n")
		fmt.Fprintf(stderr, "oecho: %v\n", err)
	}
}
