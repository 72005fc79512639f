// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

// end is what a flow is joined to. Read gives what goes into the flow; at
// most one goroutine reads, and one writes.
type end interface {
	io.Reader
	// lines gives the same as Read, by lines.
	lines() *bufio.Reader
	// writeAll writes what came out of the flow. errUnread says that nobody
	// wants it. The slices are the callee's.
	writeAll(bufs [][]byte) error
	// finish is called when nothing more comes out of the flow.
	finish() error
	// finished is called after the end of Read. It reports whether nothing more
	// can be done with the flow.
	finished() (over bool)
	// traits say what the ends of the two directions mean.
	traits() traits
	// interrupt ends calls of Read under way and those to come.
	interrupt()
	// waiting returns how many bytes Read could have given that no other flow
	// will get.
	waiting() int
	// close ends it. The error is that of the whole end.
	close() error
}

type traits struct {
	// closeAfterInput: the end of what Read gives ends the flow, if the peer
	// cannot be told of it in another way.
	closeAfterInput bool
	// closeAfterOutput: so does the end of what comes out of the flow.
	closeAfterOutput bool
	// discard: what nobody reads is thrown away; else errUnread ends the flow.
	discard bool
}

// maxLine is the longest line, with its end, that lines gives: the largest
// packet of all flows.
const maxLine = packet.MaxPayload + 1

// source is the reading part of ends.
type source struct {
	io.Reader
	buf *bufio.Reader
}

func (s *source) lines() *bufio.Reader {
	if s.buf == nil {
		s.buf = bufio.NewReaderSize(s.Reader, maxLine)
	}
	return s.buf
}

// maxVector is how many slices the kernel takes at once (IOV_MAX).
const maxVector = 1024

// writev writes all slices to a file with as few calls as possible. wait is
// called, and returns nil, when there is no room; without it the file must be
// one that the runtime can wait for.
func writev(f *os.File, bufs [][]byte, wait func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Write(func(fd uintptr) bool {
		for len(bufs) > 0 {
			n, err := unix.Writev(int(fd), bufs[:min(len(bufs), maxVector)])
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN && wait == nil:
				return false
			case err == unix.EAGAIN:
				err = wait(int(fd))
			}
			if err != nil {
				failed = &os.PathError{Op: "write", Path: f.Name(), Err: err}
				return true
			}
			bufs = consume(bufs, max(n, 0))
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}

// consume removes n bytes from the front.
func consume(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}

// largePipe is the size that pipes get if they may: a wake-up of the reader
// for every 64 kB costs more than the bytes.
const largePipe = 1 << 20

// enlarge gives a file room if it is a pipe. It is no matter if that fails.
func enlarge(f *os.File) {
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	c.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, largePipe) })
}
