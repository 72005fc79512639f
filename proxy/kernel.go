// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

// kernelStream is a TCP socket of the kernel: many packets with one system
// call, no copy between socket and packet, and no buffer while it waits. One
// goroutine reads, one writes.
type kernelStream struct {
	*net.TCPConn
	raw syscall.RawConn
	in  kernelReader
	out kernelWriter
}

func newKernelStream(c *net.TCPConn) (*kernelStream, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &kernelStream{TCPConn: c, raw: raw}
	s.in.try, s.out.try = s.in.readv, s.out.writev // made once: a closure per call is garbage
	return s, nil
}

// kernelReader is a read under way.
type kernelReader struct {
	try   func(fd uintptr) (done bool)
	ahead int // buffers to offer: as many as were filled the last time, and more
	iov   []unix.Iovec

	bufs []*packet.Buffer // bufs[:n] are offered, with size bytes each
	size int
	n    int
	got  int // bytes; 0 without err: the end
	err  error
}

// aheadLeast is how many buffers a read begins with.
const aheadLeast = 2

// readv tries to read; only a read that has something keeps its buffers.
func (r *kernelReader) readv(fd uintptr) bool {
	r.n = min(r.ahead, len(r.bufs))
	offered := r.bufs[:r.n]
	packet.GetBatch(offered, r.size)
	r.iov = r.iov[:0]
	for _, b := range offered {
		back, off := b.Backing()
		v := unix.Iovec{Base: &back[off]}
		v.SetLen(r.size)
		r.iov = append(r.iov, v)
	}
	r.got, r.err = vector(unix.SYS_READV, fd, r.iov)
	clear(r.iov)
	if r.got <= 0 {
		packet.ReleaseBatch(offered)
		r.n = 0
	}
	return r.err != unix.EAGAIN
}

func (s *kernelStream) ReadBatch(bufs []*packet.Buffer, size int) (int, error) {
	r := &s.in
	r.ahead = max(r.ahead, aheadLeast)
	r.bufs, r.size, r.n, r.got, r.err = bufs, size, 0, 0, nil
	err := s.raw.Read(r.try)
	r.bufs = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError("readv", r.err)}
	case r.got == 0:
		return 0, io.EOF
	}
	used := (r.got + size - 1) / size
	packet.ReleaseBatch(bufs[used:r.n])
	for _, b := range bufs[:used] {
		b.SetLen(min(r.got, size))
		r.got -= size
	}
	if used == r.n {
		r.ahead = min(2*r.n, len(bufs))
	} else {
		r.ahead = used + 1
	}
	return used, nil
}

// kernelWriter is a write under way.
type kernelWriter struct {
	try  func(fd uintptr) (done bool)
	iov  []unix.Iovec
	left []unix.Iovec // the part of iov that is not written
	err  error
}

// writev writes as much as goes.
func (w *kernelWriter) writev(fd uintptr) bool {
	for len(w.left) > 0 {
		var n int
		if n, w.err = vector(unix.SYS_WRITEV, fd, w.left); w.err != nil {
			return w.err != unix.EAGAIN
		}
		w.left = advance(w.left, n)
	}
	return true
}

func (s *kernelStream) WriteBatch(pkts []*packet.Buffer) error {
	defer packet.ReleaseBatch(pkts)
	w := &s.out
	w.iov, w.err = w.iov[:0], nil
	for _, b := range pkts {
		if p := b.Bytes(); len(p) > 0 {
			v := unix.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			w.iov = append(w.iov, v)
		}
	}
	w.left = w.iov
	err := s.raw.Write(w.try)
	runtime.KeepAlive(pkts)
	clear(w.iov)
	w.left = nil
	if err == nil && w.err != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError("writev", w.err)}
	}
	return err
}

// vector calls readv or writev, which on a non-blocking socket never wait.
func vector(call, fd uintptr, iov []unix.Iovec) (int, error) {
	for {
		n, _, e := unix.RawSyscall(call, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch e {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// advance takes n bytes off the front of a vector.
func advance(iov []unix.Iovec, n int) []unix.Iovec {
	for len(iov) > 0 && uint64(n) >= iov[0].Len {
		n -= int(iov[0].Len)
		iov = iov[1:]
	}
	if n > 0 {
		iov[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(iov[0].Base), n))
		iov[0].SetLen(int(iov[0].Len) - n)
	}
	return iov
}

// Reset aborts the connection.
func (s *kernelStream) Reset() {
	s.SetLinger(0)
	s.Close()
}

// broken looks for an error that the kernel keeps for the next call: state alone
// tells nothing, since one that has ended well can have unread bytes.
func (s *kernelStream) broken() (err error) {
	cerr := s.raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd)}}
		if n, perr := unix.Poll(p, 0); perr == nil && n > 0 && p[0].Revents&unix.POLLERR != 0 {
			err = os.NewSyscallError("poll", syscall.ECONNRESET)
		}
	})
	return errors.Join(cerr, err)
}

// drained looks at what the peer has not acknowledged.
func (s *kernelStream) drained() bool {
	left := 0
	err := s.raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return err != nil || left == 0
}
