// SPDX-License-Identifier: BSD-3-Clause

// Package cli is the command irm: its grammar, texts, tables and exit codes
// (spec 40 §3), with the additions of spec 40 §10. It asks the daemon through
// a small interface, so that it can be tested without one.
//
// Start with Run.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes. noOperation is what the prototype gives for no argument at all.
const (
	success     = 0
	failure     = 1
	noOperation = 255
)

// Env is the world of a command.
type Env struct {
	Stdout, Stderr io.Writer
	// Dial connects to the daemon; runDir is empty unless --run-dir was given.
	Dial func(ctx context.Context, runDir string) (Client, error)
}

// Run carries out one command and returns the exit code. Usage texts and
// lists go to Stdout; the reason of every failure goes to Stderr.
func Run(ctx context.Context, args []string, env Env) int {
	opts, args, err := parseOptions(args)
	if err != nil {
		fmt.Fprintf(env.Stderr, "irm: %v\n", err)
		return failure
	}
	if opts.timeout > 0 {
		var cancel context.CancelFunc
		cause := fmt.Errorf("no answer within %v (--timeout): %w", opts.timeout, context.DeadlineExceeded)
		ctx, cancel = context.WithTimeoutCause(ctx, opts.timeout, cause)
		defer cancel()
	}
	out := bufio.NewWriter(env.Stdout)
	c := &call{ctx: ctx, env: Env{Stdout: out, Stderr: env.Stderr, Dial: env.Dial}, options: opts}
	err = c.run(args)
	if c.client != nil {
		c.client.Close()
	}
	var m *misuse
	if errors.As(err, &m) {
		fmt.Fprint(out, usage(m.command))
	}
	if flushed := out.Flush(); err == nil && flushed != nil { // a full disk, say
		err = fmt.Errorf("irm: write output: %w", flushed)
	}
	if err == nil {
		return success
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("irm: %s: %w", c.command, cause)
	}
	fmt.Fprintln(env.Stderr, err)
	if m != nil && m.command == "" {
		return noOperation
	}
	return failure
}

// call is one run of a command.
type call struct {
	options
	ctx     context.Context
	env     Env
	command string // such as "ipcp create"
	client  Client // set by dial
}

// misuse is an error in the words of a command, answered with its usage text.
type misuse struct{ command, text string }

func (m *misuse) Error() string { return m.text }

func (c *call) misuse(format string, args ...any) error {
	return &misuse{c.command, fmt.Sprintf(format, args...)}
}

// failf is an error with the text of a whole line, that of the prototype or in
// its style.
func failf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// refused is an error that the daemon answered with; it says what failed and
// on what, but knows IPCPs by their id only.
func refused(err error) error { return fmt.Errorf("irm: %w", err) }

// refusedFor is refused for a request to an IPCP that the user named.
func refusedFor(ipcp string, err error) error { return fmt.Errorf("irm: IPCP %s: %w", ipcp, err) }

// dial connects to the daemon, at the first request of a command.
func (c *call) dial() (Client, error) {
	if c.client != nil {
		return c.client, nil
	}
	client, err := c.env.Dial(c.ctx, c.runDir)
	if err != nil {
		return nil, failf("Failed to communicate with the Ouroboros IPC Resource Manager daemon.\nirm: %w", err)
	}
	c.client = client
	return client, nil
}

// warn tells something that does not stop the command.
func (c *call) warn(format string, args ...any) {
	fmt.Fprintf(c.env.Stderr, format+"\n", args...)
}

// printf writes to standard output.
func (c *call) printf(format string, args ...any) {
	fmt.Fprintf(c.env.Stdout, format, args...)
}
