// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp"
)

// socketBuffer is what we ask the kernel for, each way, in bytes: some 10 ms
// of a 5 Gbit/s tunnel, which a reader may be off the processor.
const socketBuffer = 4 << 20

// socket is the packet socket of an IPC process: bound to a device and a
// protocol, non-blocking, and awaited with poll(2) on a thread of its own,
// which costs less per wake-up than the runtime's poller.
type socket struct {
	fd    int
	stop  int // eventfd, readable for ever once wakeAll was called
	links int // rtnetlink socket: readable when a device changed

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

// poll blocks until one of the descriptors behind the first, which is stop,
// is ready, or returns false once wakeAll was called.
func poll(fds []unix.PollFd) bool {
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

// waitReadable blocks until there are frames or, which news tells, word of
// devices. It returns false once wakeAll was called.
func (s *socket) waitReadable() (news, ok bool) {
	fds := [3]unix.PollFd{{Fd: int32(s.stop), Events: unix.POLLIN}, {Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.links), Events: unix.POLLIN}}
	ok = poll(fds[:])
	return fds[2].Revents != 0, ok
}

// waitWritable blocks until there is room, or returns false once wakeAll was
// called.
func (s *socket) waitWritable() bool {
	fds := [2]unix.PollFd{{Fd: int32(s.stop), Events: unix.POLLIN}, {Fd: int32(s.fd), Events: unix.POLLOUT}}
	return poll(fds[:])
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
