// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ownSockets returns where the UDP sockets of this process are bound that are
// not connected: a udp layer has one such socket for all its peers.
func ownSockets() ([]netip.AddrPort, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("find the gateway's sockets: %w", err)
	}
	var out []netip.AddrPort
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || !strings.HasPrefix(target, "socket:") {
			continue
		}
		if a, ok := boundUDP(fd); ok {
			out = append(out, a)
		}
	}
	return out, nil
}

// boundUDP returns the address of an unconnected UDP socket. Descriptors may
// come and go meanwhile: whatever fails is no such socket.
func boundUDP(fd int) (netip.AddrPort, bool) {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_DGRAM {
		return netip.AddrPort{}, false
	}
	if proto, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || proto != unix.IPPROTO_UDP {
		return netip.AddrPort{}, false
	}
	if _, err := unix.Getpeername(fd); err != unix.ENOTCONN {
		return netip.AddrPort{}, false
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, false
	}
	var a netip.AddrPort
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		a = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		a = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return a, a.Port() != 0
}

// ownUser returns the user of this process, nil if it is root.
func ownUser() *uint32 {
	uid := uint32(os.Geteuid())
	if uid == 0 {
		return nil
	}
	return &uid
}
