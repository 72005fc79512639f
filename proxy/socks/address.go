// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"o7gw/proxy/session"
)

// Types of addresses (RFC 1928 §5).
const (
	typeIPv4   = 1
	typeDomain = 3
	typeIPv6   = 4
)

var (
	errAddressType = errors.New("address of a type that is none of 1, 3, 4")
	errHost        = errors.New("host name that is empty, too long or not printable")
	errShort       = errors.New("address cut off")
)

// address is a host name or an IP address with a port.
type address struct {
	host string // or
	addr netip.Addr
	port uint16
}

func (a address) String() string {
	host := a.host
	if host == "" && a.addr.IsValid() {
		host = a.addr.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.port)))
}

// addressSize returns the length of the address that begins with p: type,
// address and port. Until it can be known it is the length that tells more.
func addressSize(p []byte) (int, error) {
	if len(p) == 0 {
		return 1, nil
	}
	switch p[0] {
	case typeIPv4:
		return 1 + 4 + 2, nil
	case typeIPv6:
		return 1 + 16 + 2, nil
	case typeDomain:
		if len(p) < 2 {
			return 2, nil
		}
		return 2 + int(p[1]) + 2, nil
	}
	return 0, errAddressType
}

// parseAddress reads an address and returns its length, bytes.
func parseAddress(p []byte) (a address, n int, err error) {
	n, err = addressSize(p)
	switch {
	case err != nil:
		return a, 0, err
	case n > len(p):
		return a, 0, errShort
	}
	body := p[1 : n-2]
	if p[0] == typeDomain {
		a.host = string(body[1:])
		if a.host == "" || len(a.host) > session.MaxHost || strings.ContainsFunc(a.host, unprintable) {
			return address{}, 0, errHost
		}
		if ip, err := netip.ParseAddr(a.host); err == nil { // some clients write addresses so
			a.host, a.addr = "", ip.Unmap().WithZone("")
		}
	} else {
		a.addr, _ = netip.AddrFromSlice(body)
		a.addr = a.addr.Unmap()
	}
	a.port = binary.BigEndian.Uint16(p[n-2:])
	return a, n, nil
}

func unprintable(r rune) bool { return r <= ' ' || r >= 0x7f }

// appendAddress appends an IP address with its port to b.
func appendAddress(b []byte, a netip.AddrPort) []byte {
	if ip := a.Addr(); ip.Is4() {
		v := ip.As4()
		b = append(append(b, typeIPv4), v[:]...)
	} else {
		v := ip.As16()
		b = append(append(b, typeIPv6), v[:]...)
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// relayHeader is what stands in front of the address of a relayed datagram:
// two reserved bytes and the number of a fragment (RFC 1928 §7).
const relayHeader = 3

// errFragment: fragments are not reassembled, and dropped, as RFC 1928 allows.
var errFragment = errors.New("fragment of a datagram")

// parseRelayed reads the header of a datagram of a client. raw is its address
// as it stands in the datagram, and n the length of all.
func parseRelayed(p []byte) (a address, raw []byte, n int, err error) {
	if len(p) < relayHeader {
		return a, nil, 0, errShort
	}
	if p[2] != 0 {
		return a, nil, 0, errFragment
	}
	a, n, err = parseAddress(p[relayHeader:])
	if err != nil {
		return address{}, nil, 0, err
	}
	n += relayHeader
	return a, p[relayHeader:n], n, nil
}
