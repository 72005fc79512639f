// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/poll"
)

// socketBuffer is what we ask the kernel for, each way, in bytes: some 10 ms
// of a 5 Gbit/s tunnel, which a reader may be off the processor.
const socketBuffer = 4 << 20

// socket is the one socket of an IPC process, unconnected and non-blocking.
type socket struct {
	fd   int
	stop int        // eventfd, readable for ever once wakeAll was called
	in   *poll.Poll // of both, for the receiving goroutine
	wake [2]unix.EpollEvent
	gro  bool
	gso  atomic.Bool // switched off when the device turns out not to do it
	errs atomic.Bool // errors of earlier datagrams wait to be read
	log  *slog.Logger

	mu     sync.Mutex // guards closed
	closed bool
}

// listen opens the socket and finds out what the kernel offers.
func listen(at endpoint, log *slog.Logger) (*socket, error) {
	family := unix.AF_INET6
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(at.port), ZoneId: at.scope, Addr: at.ip}
	if at.is4() {
		family = unix.AF_INET
		sa = &unix.SockaddrInet4{Port: int(at.port), Addr: at.addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind %v: %w", at, err)
	}
	// Without privilege the kernel gives less; that is no reason to fail.
	for _, o := range [...]struct{ force, usual int }{
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
	} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.force, socketBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.usual, socketBuffer)
		}
	}
	if at.is4() {
		err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1)
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	s := &socket{fd: fd, stop: stop, log: log}
	if s.in, err = poll.New(); err != nil {
		return nil, errors.Join(err, unix.Close(fd), unix.Close(stop))
	}
	if err := errors.Join(s.in.Add(fd, data, dataID), s.in.Add(stop, unix.EPOLLIN, stopID)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	// A segment size of 0 changes nothing, but an old kernel refuses it.
	s.gso.Store(unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 0) == nil)
	s.gro = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	return s, nil
}

// Marks of the descriptors in socket.in.
const (
	stopID = iota
	dataID
)

// data are the events of the socket that are waited for.
const data = unix.EPOLLIN | unix.EPOLLONESHOT

// waitReadable blocks until there is something to read, or returns false once
// wakeAll was called. busy says that it will not take long: see package poll.
func (s *socket) waitReadable(busy bool) bool {
	if busy {
		poll.Watch()
		return s.wait(unix.POLLIN)
	}
	if s.in.Arm(s.fd, data, dataID) != nil {
		return false // only a bug of ours, as below
	}
	n, err := s.in.Wait(s.wake[:])
	if err != nil {
		return false
	}
	for _, ev := range s.wake[:n] {
		if ev.Fd == stopID {
			return false
		}
		if ev.Events&unix.EPOLLERR != 0 {
			s.errs.Store(true)
		}
	}
	return true
}

// wait blocks in poll(2) until the socket is ready for events (POLLIN or
// POLLOUT), or returns false once wakeAll was called.
func (s *socket) wait(events int16) bool {
	fds := [2]unix.PollFd{{Fd: int32(s.fd), Events: events}, {Fd: int32(s.stop), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds[:], -1); err != nil && err != unix.EINTR && err != unix.EAGAIN {
			return false // only a bug of ours: bad descriptor or memory
		}
		if fds[1].Revents != 0 {
			return false
		}
		if fds[0].Revents != 0 {
			if fds[0].Revents&unix.POLLERR != 0 {
				s.errs.Store(true)
			}
			return true
		}
	}
}

// wakeAll ends all waiting, for good.
func (s *socket) wakeAll() error {
	one := [8]byte{1}
	_, err := unix.Write(s.stop, one[:])
	return os.NewSyscallError("write eventfd", err)
}

// close must come when nobody uses the socket any more.
func (s *socket) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var err error
	if s.in != nil {
		err = s.in.Close()
	}
	return errors.Join(err, os.NewSyscallError("close", unix.Close(s.fd)), os.NewSyscallError("close", unix.Close(s.stop)))
}

// gsoOff ends segmentation by the kernel for the whole socket.
func (s *socket) gsoOff(why error) {
	if s.gso.Swap(false) {
		s.log.Warn("UDP segmentation offload does not work here, switched off", "err", why)
	}
}

// memDrops is the index of the drop counter in what SO_MEMINFO returns
// (SK_MEMINFO_DROPS), memInfo the length of that.
const memDrops, memInfo = 8, 9

// kernelDrops returns how many datagrams did not fit into the socket buffer.
func (p *IPCP) kernelDrops() uint64 {
	if p.State() != ipcp.Operational {
		return 0
	}
	s := p.sock
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0
	}
	var info [memInfo]uint32
	n := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 || n <= memDrops*4 {
		return 0
	}
	return uint64(info[memDrops])
}
