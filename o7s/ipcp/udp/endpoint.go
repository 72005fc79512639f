// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// endpoint is an address and port, cheap to compare and free of pointers.
type endpoint struct {
	ip    [16]byte // IPv4 as IPv4-mapped IPv6
	port  uint16
	scope uint32 // interface index of an IPv6 link-local address
}

// newEndpoint resolves the zone, which may be the name or number of an
// interface.
func newEndpoint(a netip.AddrPort) (endpoint, error) {
	e := endpoint{ip: a.Addr().As16(), port: a.Port()}
	if z := a.Addr().Zone(); z != "" {
		if n, err := strconv.ParseUint(z, 10, 32); err == nil {
			e.scope = uint32(n)
		} else if ifi, err := net.InterfaceByName(z); err != nil {
			return endpoint{}, fmt.Errorf("zone of address %v: %w", a.Addr(), err)
		} else {
			e.scope = uint32(ifi.Index)
		}
	}
	return e, nil
}

// is4 reports whether the address is an IPv4 address.
func (e endpoint) is4() bool { return netip.AddrFrom16(e.ip).Is4In6() }

// addr returns the address with a numeric zone.
func (e endpoint) addr() netip.Addr {
	a := netip.AddrFrom16(e.ip).Unmap()
	if e.scope != 0 {
		a = a.WithZone(strconv.FormatUint(uint64(e.scope), 10))
	}
	return a
}

// String returns the usual text, for logs and errors.
func (e endpoint) String() string { return netip.AddrPortFrom(e.addr(), e.port).String() }

// sockaddr is a struct sockaddr_in or sockaddr_in6 as bytes.
type sockaddr [unix.SizeofSockaddrInet6]byte

// sockaddr returns the structure and its length.
func (e endpoint) sockaddr() (sa sockaddr, n uint32) {
	binary.BigEndian.PutUint16(sa[2:], e.port)
	if e.is4() {
		binary.NativeEndian.PutUint16(sa[0:], unix.AF_INET)
		copy(sa[4:8], e.ip[12:])
		return sa, unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(sa[0:], unix.AF_INET6)
	copy(sa[8:24], e.ip[:])
	binary.NativeEndian.PutUint32(sa[24:], e.scope)
	return sa, unix.SizeofSockaddrInet6
}

// endpointOf decodes what the kernel filled in. n is the length it gave.
func endpointOf(sa *sockaddr, n uint32) (e endpoint, ok bool) {
	e.port = binary.BigEndian.Uint16(sa[2:])
	switch family := binary.NativeEndian.Uint16(sa[0:]); {
	case family == unix.AF_INET && n >= unix.SizeofSockaddrInet4:
		e.ip[10], e.ip[11] = 0xff, 0xff
		copy(e.ip[12:], sa[4:8])
	case family == unix.AF_INET6 && n >= unix.SizeofSockaddrInet6:
		copy(e.ip[:], sa[8:24])
		e.scope = binary.NativeEndian.Uint32(sa[24:])
	default:
		return endpoint{}, false
	}
	return e, true
}

// peer is a destination of datagrams.
type peer struct {
	at    endpoint
	sa    sockaddr
	saLen uint32
	noGSO atomic.Bool // the kernel refused segmentation toward it
}

func (p *peer) init(at endpoint) {
	p.at = at
	p.sa, p.saLen = at.sockaddr()
}
