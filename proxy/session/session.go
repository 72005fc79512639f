// SPDX-License-Identifier: BSD-3-Clause

// Package session is the protocol between two gateways on one flow: a TCP
// connection on a reliable flow, or a UDP session on a raw one. The bytes are
// described in docs/session.md.
//
//	requester                                  acceptor
//	    │ ── request: protocol, target ──────────▶ │ opens the target
//	    │ ◀───────────────────────────── status ── │
//	    │ ◀═══ data, finish, reset / datagram ═══▶ │
//
// The package is pure: it turns packets into values and back, and says what
// they mean in the state of a session. Start with Request, Status and Stream;
// package proxy runs them over flows.
package session

import (
	"errors"
	"fmt"
)

// Version is the version of the protocol that this package speaks. A request
// carries the highest that its sender speaks, a status the one that is used.
const Version = 1

// Proto is the transport protocol of a session, by its IP protocol number.
type Proto uint8

// The transport protocols.
const (
	TCP Proto = 6
	UDP Proto = 17
)

// String returns "tcp" or "udp".
func (p Proto) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// Kind is the first byte of a packet.
type Kind uint8

// The kinds of packets. Unknown kinds from Optional on are skipped, others
// reset the session: so a later version can add both.
const (
	KindRequest   Kind = 0x01
	KindStatus    Kind = 0x02
	KindKeepalive Kind = 0x03 // nothing; may come at any time
	KindData      Kind = 0x10 // TCP: bytes of the stream
	KindFinish    Kind = 0x11 // TCP: no more data from this side
	KindReset     Kind = 0x12 // TCP: the connection is aborted
	KindDatagram  Kind = 0x20 // UDP: with flags in the low bits

	Optional Kind = 0x80
)

// maxExtensions bounds what follows the known part of a request or status,
// bytes.
const maxExtensions = 512

// ErrMalformed is wrapped by the errors of all parsers.
var ErrMalformed = errors.New("malformed session packet")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
