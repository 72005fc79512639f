// SPDX-License-Identifier: BSD-3-Clause

// Onc is netcat over flows: it joins standard input and output, a command or a
// TCP connection to a flow that it dials or waits for.
//
//	tar c . | onc backup                        onc -l backup | tar x
//	ssh -o ProxyCommand='onc %h' host           onc -lk --tcp 127.0.0.1:22 host
//
// A stream goes over a reliable flow, and its end is passed on in each
// direction apart, as far as the peer understands that (CloseWrite). In packet
// mode the boundaries of packets are kept.
//
// The exit status is 0 if everything that was read was delivered, or whoever
// read standard output wanted no more of it, and 1 after an error.
//
// Files: session.go joins one flow to one end, with send.go and receive.go for
// the directions; stdio.go, command.go and tcp.go are the ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"o7gw/o7s"
)

// abandon is how long the end of a session may take after a signal: nothing
// ends a write to a standard output that nobody reads.
const abandon = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends it in any case
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errSignal is the cause of the end of a session that a signal has cut.
var errSignal = errors.New("interrupted")

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdin, stdout *os.File, stderr io.Writer) int {
	opt, err := parseOptions(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "onc: %v\n%s", err, usage)
		return 1
	}
	p := &program{opt: opt, note: &notes{w: stderr, verbose: opt.verbose}, stdin: stdin, stdout: stdout}
	done := make(chan error, 1)
	go func() { done <- p.connect(ctx) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(abandon):
			err = errSignal
		}
	}
	if err != nil {
		p.note.fail(err)
		return 1
	}
	return 0
}

// program is a run of onc.
type program struct {
	opt    options
	note   *notes
	stack  *o7s.Stack
	total  amounts // of all flows
	stdin  *os.File
	stdout *os.File
}

// connect runs on the stack of a daemon.
func (p *program) connect(ctx context.Context) error {
	cctx, cancel := p.patience(ctx)
	defer cancel()
	stack, err := o7s.Connect(cctx, p.opt.runDir)
	if err != nil {
		return err
	}
	defer stack.Close()
	return p.with(ctx, stack)
}

// with does what the options say.
func (p *program) with(ctx context.Context, stack *o7s.Stack) error {
	p.stack = stack
	// On a terminal that shows the data, progress would be in its way.
	if p.opt.progress || p.opt.verbose && p.note.terminal() && !isTerminal(p.stdout) {
		defer p.showProgress()()
	}
	switch {
	case p.opt.listen:
		return p.serve(ctx)
	case p.opt.zero:
		return p.scan(ctx)
	}
	return p.dial(ctx)
}

// patience limits the wait for a flow.
func (p *program) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.opt.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, p.opt.timeout)
}

func (p *program) allocate(ctx context.Context) (*o7s.Flow, error) {
	ctx, cancel := p.patience(ctx)
	defer cancel()
	return p.stack.Dial(ctx, p.opt.name, o7s.WithQoS(p.opt.qos))
}

// scan tells whether the name is served.
func (p *program) scan(ctx context.Context) error {
	flow, err := p.allocate(ctx)
	if err != nil {
		return err
	}
	p.note.say("%s is served", p.opt.name)
	return flow.Close()
}

func (p *program) dial(ctx context.Context) error {
	flow, err := p.allocate(ctx)
	if err != nil {
		return err
	}
	p.note.say("flow to %s: %s", p.opt.name, describe(flow))
	return p.join(ctx, flow)
}

// join joins the flow to what the options say. The end of the flow is in any
// case.
func (p *program) join(ctx context.Context, flow *o7s.Flow) error {
	e, err := p.newEnd(ctx, flow)
	if err != nil {
		flow.SetLinger(0) // no good end for the peer
		flow.Close()
		return err
	}
	s := &session{opt: &p.opt, note: p.note, flow: flow, end: e, total: &p.total}
	err = s.run(ctx)
	if cerr := e.close(); err == nil {
		err = cerr
	}
	return err
}

func (p *program) newEnd(ctx context.Context, flow *o7s.Flow) (end, error) {
	switch {
	case p.opt.exec != "":
		return startCommand(ctx, p.opt.exec, flow, p.note.stderr())
	case p.opt.tcp != "":
		ctx, cancel := p.patience(ctx)
		defer cancel()
		return dialTCP(ctx, p.opt.tcp)
	}
	return newStdio(p.stdin, p.stdout, &p.opt)
}

// describe says for the user what flow it is.
func describe(flow *o7s.Flow) string {
	s := fmt.Sprintf("qos %v, packets of at most %d bytes", flow.QoS(), flow.MTU())
	if peer := flow.Peer(); peer != "" {
		s += ", peer " + strconv.Quote(peer)
	}
	return s
}

// isTerminal reports whether a file is one.
func isTerminal(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	c.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		is = err == nil
	})
	return is
}
