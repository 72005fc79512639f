// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package udpsock reads and writes UDP sockets of the kernel in batches of
// packet buffers, many with one system call, without allocation. A socket on
// which nothing arrives holds no buffers.
//
// Start with New.
package udpsock

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"o7gw/proxy"
)

// Socket is a UDP socket. One goroutine reads; several may write.
type Socket struct {
	*net.UDPConn
	raw       syscall.RawConn
	connected bool // has one peer: addresses do not matter
	six       bool // of IPv6, which also carries IPv4
	asked     bool // TellLocal

	whole atomic.Bool // the kernel does not cut messages for this socket

	got     []proxy.Datagram // of the last Read
	locals  []netip.Addr
	dropped atomic.Uint64
}

// readBuffer is the room in the kernel for datagrams that have not been read,
// bytes: some thousand small ones, which a burst brings while the processor is
// busy with something else. What is not used costs nothing.
const readBuffer = 2 << 20

// New takes a socket. connected: it has one peer, and addresses do not matter.
func New(c *net.UDPConn, connected bool) (*Socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Socket{UDPConn: c, raw: raw, connected: connected}
	err = s.control(func(fd int) error {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		s.six = domain == unix.AF_INET6
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, readBuffer) != nil {
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, readBuffer) // as far as the system allows
		}
		return os.NewSyscallError("getsockopt", err)
	})
	return s, err
}

func (s *Socket) control(f func(fd int) error) error {
	var inner error
	err := s.raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

// TellLocal makes Local say at which address of the machine a datagram has
// arrived: for a socket that is bound to none, whose clients expect the answer
// from the address that they have asked. Before the first Read.
func (s *Socket) TellLocal() error {
	s.asked = true
	return s.control(func(fd int) error {
		level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
		if s.six {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
		}
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, 1))
	})
}

// Dropped returns how many datagrams the kernel had no room for, or refused.
func (s *Socket) Dropped() uint64 { return s.dropped.Load() }

// Read waits for datagrams and returns them; the caller owns the buffers, not
// the slice, which is valid until the next call. On a connected socket the
// addresses are not set. An error of ICMP, such as ECONNREFUSED, is returned
// once, and reading can go on.
func (s *Socket) Read() ([]proxy.Datagram, error) {
	var in *ingress
	var n int
	var errno unix.Errno
	err := s.raw.Read(func(fd uintptr) bool {
		if in == nil {
			in = ingresses.Get().(*ingress)
		}
		if n, errno = in.read(fd); errno == unix.EAGAIN {
			in.put()
			in = nil
			return false
		}
		return true
	})
	s.got, s.locals = s.got[:0], s.locals[:0]
	if in == nil {
		return nil, err
	}
	defer in.put()
	if errno != 0 {
		return nil, os.NewSyscallError("recvmmsg", errno)
	}
	for i := range n {
		s.take(in, i)
	}
	return s.got, nil
}

// Local returns at which address of the machine datagram i of the last Read
// has arrived, after TellLocal; it is for WriteFrom.
func (s *Socket) Local(i int) netip.Addr {
	if i < len(s.locals) {
		return s.locals[i]
	}
	return netip.Addr{}
}

// take makes a datagram of slot i.
func (s *Socket) take(in *ingress, i int) {
	var d proxy.Datagram
	if !s.connected {
		var ok bool
		if d.Addr, ok = in.names[i].addrPort(in.msgs[i].hdr.Namelen); !ok {
			s.dropped.Add(1)
			return
		}
	}
	if s.asked {
		s.locals = append(s.locals, in.controls[i].local(int(in.msgs[i].hdr.Controllen)))
	}
	d.Buf = in.buffer(i)
	s.got = append(s.got, d)
}

// Write sends datagrams; it takes the buffers, not the slice. It does not wait:
// what the kernel has no room for, or refuses, is lost; the last error is
// returned.
func (s *Socket) Write(d []proxy.Datagram) error { return s.WriteFrom(netip.Addr{}, d) }

// WriteFrom is Write from one of the addresses of the machine; an invalid one
// is the kernel's choice.
func (s *Socket) WriteFrom(local netip.Addr, d []proxy.Datagram) (last error) {
	out := outlets.Get().(*outlet)
	for rest := d; len(rest) > 0; {
		n := min(len(rest), slots)
		msgs := out.fill(s, local, rest[:n])
		var lost int
		var cut bool
		var err error
		if werr := s.raw.Write(func(fd uintptr) bool {
			lost, cut, err = out.send(fd, msgs)
			return true
		}); werr != nil {
			lost, err = n, werr
		}
		if cut {
			s.whole.Store(true)
		}
		s.dropped.Add(uint64(lost))
		if err != nil {
			last = err
		}
		rest = rest[n:]
	}
	out.put()
	for i := range d {
		d[i].Buf.Release()
	}
	return last
}
