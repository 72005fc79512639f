// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"net/netip"

	"o7gw/proxy/session"
)

// Codes of replies (RFC 1928 §6).
const (
	succeeded          = 0
	failure            = 1
	notAllowed         = 2
	networkUnreachable = 3
	hostUnreachable    = 4
	refused            = 5
	ttlExpired         = 6
	commandUnknown     = 7
	addressUnknown     = 8
)

// none is the address in replies that have nothing to say there.
var none = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)

// reply returns the answer to a request.
func reply(code byte, bound netip.AddrPort) []byte {
	return appendAddress([]byte{version, code, 0}, bound)
}

// code returns the reply code for the error of a session.
func code(err error) byte {
	switch session.StatusOf(err) {
	case session.OK:
		return succeeded
	case session.Refused:
		return refused
	case session.Unreachable:
		return networkUnreachable
	case session.NotFound:
		return hostUnreachable
	case session.Denied:
		return notAllowed
	case session.TimedOut:
		return ttlExpired // as others do: there is no code for it
	}
	return failure
}
