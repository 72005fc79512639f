// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s"
)

// killWait is the time between SIGTERM and SIGKILL for a command that must
// end.
const killWait = 2 * time.Second

// command is a process whose standard input and output are the end of a flow.
type command struct {
	source
	cmd     *exec.Cmd
	in, out *os.File // our ends of its input and output
	waited  bool
	err     error // of its end
}

// startCommand runs the text with /bin/sh. The environment says which flow it
// serves. The process is ended with ctx.
func startCommand(ctx context.Context, text string, flow *o7s.Flow, stderr io.Writer) (*command, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	enlarge(in)
	enlarge(out)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", text)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, stderr
	cmd.Env = append(os.Environ(), "O7S_NAME="+flow.Name(), "O7S_QOS="+flow.QoS().String(), "O7S_PEER="+flow.Peer())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killWait
	if err := cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return &command{source: source{Reader: out}, cmd: cmd, in: in, out: out}, nil
}

func (c *command) traits() traits { return traits{closeAfterInput: true, discard: true} }

func (c *command) writeAll(bufs [][]byte) error {
	err := writev(c.in, bufs, nil)
	if errors.Is(err, unix.EPIPE) {
		return errUnread
	}
	return err
}

func (c *command) finish() error { return c.in.Close() }

// finished waits for the process: one that has closed its output may still
// have its input to work on.
func (c *command) finished() bool {
	c.wait()
	return true
}

func (c *command) wait() error {
	if !c.waited {
		c.waited = true
		// Who still holds standard error is no matter.
		if err := c.cmd.Wait(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			c.err = fmt.Errorf("command: %w", err)
		}
	}
	return c.err
}

// interrupt makes the process see the end of its input, and the signal of a
// broken pipe if it writes.
func (c *command) interrupt() {
	c.out.Close()
	c.in.Close()
}

func (c *command) waiting() int { return 0 }

func (c *command) close() error {
	c.interrupt()
	return c.wait()
}
