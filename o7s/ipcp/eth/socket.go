// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/poll"
)

// socketBuffer is what we ask the kernel for, each way, in bytes: some 10 ms
// of a 5 Gbit/s tunnel, which a reader may be off the processor.
const socketBuffer = 4 << 20

// socket is the packet socket of an IPC process: bound to a device and a
// protocol, and non-blocking.
type socket struct {
	fd    int
	stop  int        // eventfd, readable for ever once wakeAll was called
	links int        // rtnetlink socket: readable when a device changed
	in    *poll.Poll // of all three, for the receiving goroutine
	wake  [3]unix.EpollEvent

	mu     sync.Mutex
	closed bool   // guarded by mu
	drops  uint64 // guarded by mu; the kernel's counter is reset by reading
}

// listen opens the socket on a device. Nothing is received before the filter
// is in place.
func listen(name string, f framing) (s *socket, d device, err error) {
	s = &socket{fd: -1, stop: -1, links: -1}
	defer func() {
		if err != nil {
			s.close()
			s = nil
		}
	}()
	if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("raw Ethernet needs root or the capability CAP_NET_RAW: %w", err)
		}
		return s, d, err
	}
	// Before the device is looked at: no change is missed.
	if s.links, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE); err != nil {
		return s, d, os.NewSyscallError("socket", err)
	}
	if err = unix.Bind(s.links, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return s, d, os.NewSyscallError("bind rtnetlink", err)
	}
	if s.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return s, d, os.NewSyscallError("eventfd", err)
	}
	if s.in, err = poll.New(); err != nil {
		return s, d, err
	}
	if err = errors.Join(s.in.Add(s.fd, data, dataID), s.in.Add(s.links, unix.EPOLLIN, linksID), s.in.Add(s.stop, unix.EPOLLIN, stopID)); err != nil {
		return s, d, err
	}
	if d, err = deviceNamed(s.fd, name); err != nil {
		return s, d, err
	}
	// Without privilege the kernel gives less; that is no reason to fail.
	for _, o := range [...]struct{ force, usual int }{
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
	} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o.force, socketBuffer) != nil {
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o.usual, socketBuffer)
		}
	}
	// Kernels before 4.20 have no such option; the filter does it there.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err = f.attach(s.fd, d.addr); err != nil {
		return s, d, err
	}
	protocol := f.ethertype
	if f.llc {
		protocol = unix.ETH_P_802_2
	}
	at := &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: d.index}
	if err = unix.Bind(s.fd, at); err != nil {
		return s, d, fmt.Errorf("bind to device %q: %w", name, err)
	}
	if err = s.alone(d.index, protocol); err != nil {
		return s, d, fmt.Errorf("device %q: %w", name, err)
	}
	return s, d, nil
}

// Marks of the descriptors in socket.in.
const (
	stopID = iota
	dataID
	linksID
)

// data are the events of the socket that are waited for.
const data = unix.EPOLLIN | unix.EPOLLONESHOT

// waitReadable blocks until there are frames or, which news tells, word of
// devices. It returns false once wakeAll was called. busy says that it will
// not take long: see package poll.
func (s *socket) waitReadable(busy bool) (news, ok bool) {
	if busy {
		poll.Watch()
		fds := [3]unix.PollFd{{Fd: int32(s.stop), Events: unix.POLLIN}, {Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.links), Events: unix.POLLIN}}
		ok = wait(fds[:])
		return fds[2].Revents != 0, ok
	}
	if s.in.Arm(s.fd, data, dataID) != nil {
		return false, false // only a bug of ours, as below
	}
	n, err := s.in.Wait(s.wake[:])
	if err != nil {
		return false, false
	}
	for _, ev := range s.wake[:n] {
		switch ev.Fd {
		case stopID:
			return false, false
		case linksID:
			news = true
		}
	}
	return news, true
}

// waitWritable blocks until there is room, or returns false once wakeAll was
// called.
func (s *socket) waitWritable() bool {
	fds := [2]unix.PollFd{{Fd: int32(s.stop), Events: unix.POLLIN}, {Fd: int32(s.fd), Events: unix.POLLOUT}}
	return wait(fds[:])
}

// wait blocks in poll(2) until one of the descriptors behind the first, which
// is stop, is ready, or returns false once wakeAll was called.
func wait(fds []unix.PollFd) bool {
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR && err != unix.EAGAIN {
			return false // only a bug of ours: bad descriptor or memory
		}
		if fds[0].Revents != 0 {
			return false
		}
		for _, f := range fds[1:] {
			if f.Revents != 0 {
				return true
			}
		}
	}
}

// news reports whether devices of the machine changed since the last call.
// What changed is asked for in a better place, so nothing is lost when the
// kernel had no room for all messages.
func (s *socket) news() bool {
	var b [64]byte // the rest of each message is cut off
	for any := false; ; any = true {
		_, err := unix.Read(s.links, b[:])
		if err != nil && err != unix.EINTR && err != unix.ENOBUFS {
			return any
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
	var errs error
	if s.in != nil {
		errs = s.in.Close()
	}
	for _, fd := range []int{s.fd, s.stop, s.links} {
		if fd >= 0 {
			errs = errors.Join(errs, os.NewSyscallError("close", unix.Close(fd)))
		}
	}
	return errs
}

// kernelDrops returns how many frames did not fit into the socket buffer.
func (p *IPCP) kernelDrops() uint64 {
	if p.State() != ipcp.Operational {
		return 0
	}
	s := p.sock
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.drops
	}
	if st, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		s.drops += uint64(st.Drops)
	}
	return s.drops
}
