// SPDX-License-Identifier: BSD-3-Clause

package layer

import (
	"fmt"
	"syscall"
)

// Errno is an error number of the prototype (spec 10 §0.1): the private ones
// from 1000, else Linux errno. Negated, it travels in negative answers.
// Protocol code treats every one as a refusal and branches on none.
type Errno int32

// The private numbers.
const (
	ErrNotAllocated Errno = 1000
	ErrIPCPType     Errno = 1001
	ErrIRMd         Errno = 1002
	ErrIPCP         Errno = 1003
	ErrIPCPState    Errno = 1004
	ErrFlowDown     Errno = 1005
	ErrFlowPeer     Errno = 1006
	ErrNoName       Errno = 1007
	ErrCrypt        Errno = 1008
	ErrAuth         Errno = 1009
)

// The Linux numbers used in answers and by the IRM.
const (
	ErrPermission   = Errno(syscall.EPERM)
	ErrInvalid      = Errno(syscall.EINVAL)
	ErrNotSupported = Errno(syscall.ENOTSUP)
	ErrTimedOut     = Errno(syscall.ETIMEDOUT)
	ErrNoMemory     = Errno(syscall.ENOMEM)
)

var errnoText = map[Errno]string{
	ErrNotAllocated: "flow is not allocated",
	ErrIPCPType:     "unknown IPCP type",
	ErrIRMd:         "IRM daemon failed",
	ErrIPCP:         "no layer can reach the name",
	ErrIPCPState:    "IPCP is in the wrong state",
	ErrFlowDown:     "flow is down",
	ErrFlowPeer:     "flow peer is dead",
	ErrNoName:       "no such name",
	ErrCrypt:        "encryption handshake failed",
	ErrAuth:         "authentication failed",
}

// Error returns the text and the number.
func (e Errno) Error() string {
	if s, ok := errnoText[e]; ok {
		return fmt.Sprintf("%s (%d)", s, int32(-e))
	}
	return fmt.Sprintf("%s (%d)", syscall.Errno(e).Error(), int32(-e))
}

// Timeout reports whether the error is an expired wait, as net.Error does.
func (e Errno) Timeout() bool { return e == ErrTimedOut }
