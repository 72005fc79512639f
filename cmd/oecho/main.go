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
	"encoding/json"
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
	"o7gw/o7s/qos"
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
  -q, --qos                 QoS of a client's flow (raw, best, video, voice,
                            data; default raw)
  -W, --timeout             Seconds that a client waits (default 10)
      --json                Print one JSON object for each message
      --run-dir             Directory of the daemon to use
      --help                Display this help text and exit
`

// failed is the status of a client without an echo.
const failed = 255

type options struct {
	listen  bool
	name    string
	named   bool     // the user gave a name
	qos     qos.Spec // of a client's flow
	timeout time.Duration
	json    bool
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
	var cube string
	f := pflag.NewFlagSet("oecho", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.BoolVarP(&o.listen, "listen", "l", false, "")
	f.StringVarP(&o.name, "name", "n", defaultName, "")
	f.StringVarP(&cube, "qos", "q", "raw", "")
	f.UintVarP(&seconds, "timeout", "W", 10, "")
	f.BoolVar(&o.json, "json", false, "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var err error
	if o.qos, err = qos.Parse(cube); err != nil {
		return o, err
	}
	if o.listen && f.Changed("qos") {
		return o, errors.New("--qos is for a client: a server takes what is asked for")
	}
	o.named = f.Changed("name")
	o.timeout = time.Duration(min(seconds, 1<<31)) * time.Second
	return o, nil
}

// greet is the client.
func greet(ctx context.Context, stack *o7s.Stack, opt options, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, opt.timeout)
	defer cancel()
	out := &lines{w: stdout, json: opt.json}
	fail := func(what string, err error) int {
		out.say(event{Event: "error", Text: what, Reason: err.Error()})
		fmt.Fprintf(stderr, "oecho: %v\n", err)
		return failed
	}
	start := time.Now()
	flow, err := stack.Dial(ctx, opt.name, o7s.WithQoS(opt.qos))
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
	out.say(event{
		Event: "reply", Text: fmt.Sprintf("Server replied with %s", text(buf[:n])),
		Message: string(text(buf[:n])), Time: float64(time.Since(start).Microseconds()) / 1000,
	})
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
	out := &lines{w: stdout, json: opt.json}
	out.say(event{Event: "start", Text: "Starting the server."})
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
			out.say(event{Event: "error", Text: "Failed to accept flow.", Reason: err.Error()})
			fmt.Fprintf(stderr, "oecho: %v\n", err)
			return 1
		}
		out.say(event{Event: "flow", Text: "New flow."})
		flows.Go(func() { echo(ctx, flow, out, stderr) })
	}
}

// lines is standard output for several goroutines.
type lines struct {
	json bool

	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// event is a line, and with --json an object.
type event struct {
	Event   string  `json:"event"` // start, flow, message, reply or error
	Text    string  `json:"text"`  // the line without --json
	Message string  `json:"message,omitempty"`
	Time    float64 `json:"time_ms,omitempty"` // from the request of the flow to the reply
	Reason  string  `json:"reason,omitempty"`
}

func (l *lines) say(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.json {
		json.NewEncoder(l.w).Encode(e)
		return
	}
	fmt.Fprintln(l.w, e.Text)
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
			out.say(event{Event: "error", Text: "Failed to read packet.", Reason: err.Error()})
			fmt.Fprintf(stderr, "oecho: %v\n", err)
		}
		return
	}
	out.say(event{Event: "message", Text: fmt.Sprintf("Message from client is %s.", text(buf[:n])), Message: string(text(buf[:n]))})
	if err := flow.WritePacket(buf[:n]); err != nil {
		out.say(event{Event: "error", Text: "Failed to write packet.", Reason: err.Error()})
		fmt.Fprintf(stderr, "oecho: %v\n", err)
	}
}
