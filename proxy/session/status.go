// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"o7gw/o7s/layer"
)

// Status answers a request:
//
//	kind 0x02, version, status, extensions
//
// It is an error, for those who dial.
type Status uint8

// The statuses. Unknown ones count as Failed.
const (
	OK          Status = 0
	Refused     Status = 1 // nothing listens there, or nobody serves the name
	Unreachable Status = 2 // no route, or no exit for it
	NotFound    Status = 3 // the host name does not resolve
	Denied      Status = 4 // the policy forbids it
	Busy        Status = 5 // a limit is reached
	TimedOut    Status = 6 // no answer in time
	Unsupported Status = 7 // protocol or version
	BadRequest  Status = 8 // not understood
	Failed      Status = 9 // anything else
)

var texts = [...]string{
	OK:          "connected",
	Refused:     "connection refused",
	Unreachable: "destination unreachable",
	NotFound:    "host not found",
	Denied:      "not allowed by the policy of the other side",
	Busy:        "too many sessions",
	TimedOut:    "timed out",
	Unsupported: "protocol not supported by the other side",
	BadRequest:  "request not understood by the other side",
	Failed:      "failed at the other side",
}

// Error returns a text for people.
func (s Status) Error() string {
	if int(s) < len(texts) {
		return texts[s]
	}
	return fmt.Sprintf("failed at the other side (status %d)", uint8(s))
}

// Timeout reports whether the wait ran out, as net.Error does.
func (s Status) Timeout() bool { return s == TimedOut }

// Append appends the packet to b.
func (s Status) Append(b []byte) []byte {
	return append(b, byte(KindStatus), Version, byte(s))
}

// ParseStatus reads the answer to a request.
func ParseStatus(p []byte) (s Status, version uint8, err error) {
	if len(p) < 3 || Kind(p[0]) != KindStatus {
		return Failed, 0, malformed("no status")
	}
	if version = p[1]; version == 0 {
		return Failed, 0, malformed("version 0")
	}
	if _, err := parseExtensions(p[3:]); err != nil {
		return Failed, version, err
	}
	if s = Status(p[2]); int(s) >= len(texts) {
		s = Failed
	}
	return s, version, nil
}

// StatusOf returns the status that tells a peer, or a client, of an error of
// dialling.
func StatusOf(err error) Status {
	var s Status
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return OK
	case errors.As(err, &s):
		return s
	case errors.Is(err, layer.ErrNoName), errors.Is(err, layer.ErrIPCP), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return Refused
	case errors.Is(err, layer.ErrAuth), errors.Is(err, layer.ErrCrypt), errors.Is(err, layer.ErrPermission),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return Denied
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return NotFound
		}
		return TimedOut
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT),
		errors.Is(err, layer.ErrNoAnswer), errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EAGAIN), errors.Is(err, layer.ErrNoMemory):
		return Busy
	}
	return Failed
}
