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

	// of the reader
	ahead int // buffers to offer: as many as were filled the last time, and more
	riov  []unix.Iovec
	// of the writer
	wiov []unix.Iovec
}

// aheadLeast is how many buffers a read begins with.
const aheadLeast = 2

func (s *kernelStream) ReadBatch(bufs []*packet.Buffer, size int) (n int, err error) {
	s.ahead = max(s.ahead, aheadLeast)
	got := 0
	rerr := s.raw.Read(func(fd uintptr) bool {
		n = min(s.ahead, len(bufs))
		packet.GetBatch(bufs[:n], size)
		s.riov = s.riov[:0]
		for _, b := range bufs[:n] {
			back, off := b.Backing()
			v := unix.Iovec{Base: &back[off]}
			v.SetLen(size)
			s.riov = append(s.riov, v)
		}
		got, err = vector(unix.SYS_READV, fd, s.riov)
		runtime.KeepAlive(bufs)
		if got <= 0 || err != nil {
			packet.ReleaseBatch(bufs[:n])
			n = 0
		}
		return err != unix.EAGAIN
	})
	clear(s.riov)
	switch {
	case rerr != nil:
		return 0, rerr
	case err != nil:
		return 0, os.NewSyscallError("readv", err)
	case got == 0:
		return 0, io.EOF
	}
	used := (got + size - 1) / size
	packet.ReleaseBatch(bufs[used:n])
	for _, b := range bufs[:used] {
		b.SetLen(min(got, size))
		got -= size
	}
	if used == n {
		s.ahead = min(2*n, len(bufs))
	} else {
		s.ahead = used + 1
	}
	return used, nil
}

func (s *kernelStream) WriteBatch(pkts []*packet.Buffer) error {
	defer packet.ReleaseBatch(pkts)
	s.wiov = s.wiov[:0]
	for _, b := range pkts {
		if p := b.Bytes(); len(p) > 0 {
			v := unix.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			s.wiov = append(s.wiov, v)
		}
	}
	left := s.wiov
	var err error
	werr := s.raw.Write(func(fd uintptr) bool {
		for len(left) > 0 {
			var n int
			if n, err = vector(unix.SYS_WRITEV, fd, left); err != nil {
				return err != unix.EAGAIN
			}
			left = advance(left, n)
		}
		return true
	})
	runtime.KeepAlive(pkts)
	clear(s.wiov)
	if werr != nil {
		return werr
	}
	return os.NewSyscallError("writev", err)
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
