// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package udpsock

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes that were sent or received
}

// sockaddr has room for struct sockaddr_in and sockaddr_in6: family, port,
// and what follows.
type sockaddr [unix.SizeofSockaddrInet6]byte

// addrPort reads the address, of n bytes.
func (s *sockaddr) addrPort(n uint32) (netip.AddrPort, bool) {
	if n < unix.SizeofSockaddrInet4 {
		return netip.AddrPort{}, false
	}
	port := binary.BigEndian.Uint16(s[2:])
	switch binary.NativeEndian.Uint16(s[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s[4:])), port), true
	case unix.AF_INET6:
		if n < unix.SizeofSockaddrInet6 {
			return netip.AddrPort{}, false
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s[8:])).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}

// put writes an address for a socket of IPv4, or of IPv6, and returns its
// length; 0: such a socket cannot reach it.
func (s *sockaddr) put(a netip.AddrPort, six bool) uint32 {
	if !a.IsValid() {
		return 0
	}
	*s = sockaddr{}
	binary.BigEndian.PutUint16(s[2:], a.Port())
	if six {
		binary.NativeEndian.PutUint16(s[:], unix.AF_INET6)
		v := a.Addr().As16()
		copy(s[8:], v[:])
		return unix.SizeofSockaddrInet6
	}
	ip := a.Addr().Unmap()
	if !ip.Is4() {
		return 0
	}
	binary.NativeEndian.PutUint16(s[:], unix.AF_INET)
	v := ip.As4()
	copy(s[4:], v[:])
	return unix.SizeofSockaddrInet4
}

// control has room for a control message with struct in6_pktinfo, or the
// shorter in_pktinfo.
type control struct {
	_    [0]uint64 // aligned like struct cmsghdr
	data [40]byte
}

// Offsets in the control message: of its data, of the addresses in it.
var (
	pktinfo     = unix.CmsgLen(0)
	pktinfoDst4 = pktinfo + 8 // ipi_addr; ipi_spec_dst is in front of it
	pktinfoSrc4 = pktinfo + 4
)

// local reads at which address a datagram has arrived; n is the length of the
// message. It is invalid if the kernel does not say.
func (c *control) local(n int) netip.Addr {
	if n < unix.SizeofCmsghdr || n > len(c.data) {
		return netip.Addr{}
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.data))
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && n >= unix.CmsgLen(unix.SizeofInet4Pktinfo):
		return netip.AddrFrom4([4]byte(c.data[pktinfoDst4:]))
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && n >= unix.CmsgLen(unix.SizeofInet6Pktinfo):
		return netip.AddrFrom16([16]byte(c.data[pktinfo:])).Unmap()
	}
	return netip.Addr{}
}

// put writes from which address a datagram is sent, and returns the length of
// the message; 0: the kernel chooses.
func (c *control) put(from netip.Addr, six bool) int {
	if !from.IsValid() || from.IsMulticast() || !six && !from.Is4() {
		return 0
	}
	*c = control{}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.data))
	if six {
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		v := from.As16()
		copy(c.data[pktinfo:], v[:])
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	v := from.As4()
	copy(c.data[pktinfoSrc4:], v[:])
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
}
