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

// ParseStatus reads the answer to a request. One of a version that was not offered
// is Unsupported.
func ParseStatus(p []byte) (s Status, version uint8, err error) {
	if len(p) < 3 || Kind(p[0]) != KindStatus {
		return Failed, 0, malformed("no status")
	}
	if version = p[1]; version == 0 {
		return Failed, 0, malformed("version 0")
	}
	if err := checkExtensions(p[3:]); err != nil {
		return Failed, version, err
	}
	s = Status(p[2])
	switch {
	case version > Version && s == OK:
		s = Unsupported
	case int(s) >= len(texts):
		s = Failed
	}
	return s, version, nil
}

// causes are the errors of dialling flows and sockets that have a status of their
// own.
var causes = []struct {
	status Status
	errs   []error
}{
	{Refused, []error{layer.ErrNoName, layer.ErrIPCP, syscall.ECONNREFUSED, syscall.ECONNRESET}},
	{Denied, []error{layer.ErrAuth, layer.ErrCrypt, syscall.EACCES, syscall.EPERM}},
	{Unreachable, []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EADDRNOTAVAIL}},
	{TimedOut, []error{context.DeadlineExceeded, os.ErrDeadlineExceeded, syscall.ETIMEDOUT, layer.ErrNoAnswer, layer.ErrFlowPeer}},
	{Busy, []error{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM, syscall.ENOBUFS}},
	{Unsupported, []error{syscall.ENOTSUP, syscall.EPROTONOSUPPORT}},
	{BadRequest, []error{ErrMalformed}},
}

// StatusOf returns the status that tells a peer, or a client, of an error of
// dialling; OK for nil.
func StatusOf(err error) Status {
	if err == nil {
		return OK
	}
	var s Status
	if errors.As(err, &s) {
		return s
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return NotFound
	}
	// An Errno of the peer has the number of the system's, but is another type.
	var number syscall.Errno
	var refusal layer.Errno
	if errors.As(err, &refusal) && refusal > 0 {
		number = syscall.Errno(refusal)
	}
	for _, c := range causes {
		for _, cause := range c.errs {
			if errors.Is(err, cause) || number != 0 && cause == number {
				return c.status
			}
		}
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return TimedOut
	}
	return Failed
}
