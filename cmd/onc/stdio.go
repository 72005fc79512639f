// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// errUnread: whoever read what comes out of the flow does not any more.
var errUnread = errors.New("nobody reads the output")

// stdio is standard input and output. One after another, several flows may be
// joined to it.
type stdio struct {
	source
	in  *input
	out *os.File
	is  traits
	// keep: more flows come, so the output stays open at the end of one.
	keep bool
}

func newStdio(stdin, stdout *os.File, opt *options) (*stdio, error) {
	in, err := newInput(stdin, opt.noStdin)
	if err != nil {
		return nil, err
	}
	enlarge(stdout)
	s := &stdio{source: source{Reader: in}, in: in, out: stdout, keep: opt.keep}
	s.is.closeAfterInput = opt.shutdown
	// A server at a terminal ends with its client, as other netcats do.
	s.is.closeAfterOutput = opt.listen && isTerminal(stdin)
	return s, nil
}

func (s *stdio) traits() traits { return s.is }

func (s *stdio) writeAll(bufs [][]byte) error {
	err := writev(s.out, bufs, awaitRoom)
	if errors.Is(err, unix.EPIPE) {
		return errUnread
	}
	return err
}

// awaitRoom is for an output that somebody else has made non-blocking, such as
// a terminal that programs share.
func awaitRoom(fd int) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
	if err == unix.EINTR {
		return nil
	}
	return err
}

func (s *stdio) finish() error {
	if s.keep {
		return nil
	}
	return s.out.Close() // whoever reads it sees the end now
}

func (s *stdio) finished() bool { return false }
func (s *stdio) interrupt()     { s.in.interrupt() }
func (s *stdio) close() error   { return s.in.close() }

// waiting is 0 at a terminal: what was typed ahead is no matter.
func (s *stdio) waiting() int {
	if s.keep || s.in.ended || isTerminal(s.in.file) {
		return 0
	}
	n := s.in.waiting()
	if s.buf != nil {
		n += s.buf.Buffered()
	}
	return n
}

// errInterrupted is returned by an input that was interrupted.
var errInterrupted = errors.New("interrupted")

// input reads from a file, of whatever kind, so that the wait can be
// interrupted and nothing is lost by that.
type input struct {
	file    *os.File
	wake    int // eventfd
	ended   bool
	stopped atomic.Bool
}

// newInput returns the input, or one that has ended if none is wanted.
func newInput(f *os.File, none bool) (*input, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if !none {
		enlarge(f)
	}
	return &input{file: f, wake: wake, ended: none}, nil
}

func (in *input) Read(p []byte) (int, error) {
	if in.ended {
		return 0, io.EOF
	}
	c, err := in.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	cerr := c.Control(func(fd uintptr) { n, err = in.read(int(fd), p) })
	switch {
	case cerr != nil:
		return 0, cerr
	case err == io.EOF:
		in.ended = true
	case err != nil && err != errInterrupted:
		err = &os.PathError{Op: "read", Path: in.file.Name(), Err: err}
	}
	return n, err
}

func (in *input) read(fd int, p []byte) (int, error) {
	for {
		if in.stopped.Load() {
			return 0, errInterrupted
		}
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(in.wake), Events: unix.POLLIN}}, -1)
		if in.stopped.Load() {
			return 0, errInterrupted
		}
		n := 0
		switch {
		case err != nil:
		case inBackground(fd):
			unix.Poll([]unix.PollFd{{Fd: int32(in.wake), Events: unix.POLLIN}}, backgroundPoll)
			continue
		default:
			n, err = unix.Read(fd, p)
		}
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// backgroundPoll is how often to look whether a job is in the foreground again,
// in ms.
const backgroundPoll = 200

// inBackground reports whether what is typed at a terminal is for another job:
// to read it would stop us.
func inBackground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group != unix.Getpgrp()
}

// waiting returns how many bytes are there to be read, as far as the kernel
// tells.
func (in *input) waiting() int {
	c, err := in.file.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	c.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}

// interrupt ends Read until resume.
func (in *input) interrupt() {
	in.stopped.Store(true)
	unix.Write(in.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// resume lets Read go on, when nobody interrupts any more.
func (in *input) resume() {
	in.stopped.Store(false)
	var b [8]byte
	unix.Read(in.wake, b[:])
}

func (in *input) close() error { return unix.Close(in.wake) }
