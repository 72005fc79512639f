// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
)

// Error is the daemon's refusal of a request, or the lack of a daemon.
// errors.Is finds its Code, and for a request that was cancelled or ran out of
// time the error of package context, as with an embedded node.
type Error struct {
	Code  layer.Errno
	Text  string // says what failed, on what, and why
	cause error  // if it did not come from the daemon; part of Text already
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the code, and what else is known.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.cause}
}

// Is makes the codes of an ended context equal to its errors.
func (e *Error) Is(target error) bool {
	switch target {
	case context.Canceled:
		return e.Code == errCanceled
	case context.DeadlineExceeded, os.ErrDeadlineExceeded:
		return e.Code == layer.ErrTimedOut
	}
	return false
}

// errCanceled is the code of a request that its client cancelled.
const errCanceled = layer.Errno(syscall.ECANCELED)

// errBusy is the code of a request above a limit.
const errBusy = layer.Errno(syscall.EAGAIN)

// errorOf returns the error in a reply, nil if it is positive.
func errorOf(r *irmpb.Reply) error {
	if r.GetCode() == 0 {
		return nil
	}
	e := &Error{Code: layer.Errno(r.GetCode()), Text: string(r.GetText())}
	if e.Text == "" {
		e.Text = e.Code.Error()
	}
	return e
}

// refusal returns the negative reply for an error.
func refusal(id uint64, err error) *irmpb.Reply {
	text := []byte(err.Error())
	return &irmpb.Reply{Id: id, Code: int32(codeOf(err)), Text: text[:min(len(text), maxErrorText)]}
}

// maxErrorText is the longest error text in bytes that goes into a reply.
const maxErrorText = 4096

// codeOf returns the number that tells the client most about an error. It is
// never 0.
func codeOf(err error) layer.Errno {
	var code layer.Errno
	var errno syscall.Errno
	switch {
	case errors.As(err, &code) && code > 0:
		return code
	case errors.Is(err, context.Canceled):
		return errCanceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return layer.ErrTimedOut
	case errors.As(err, &errno) && errno > 0:
		return layer.Errno(errno)
	}
	return layer.ErrIRMd
}

// ErrLost is wrapped by the errors of calls on a connection that has ended.
var ErrLost = errors.New("connection to the IRM daemon was lost")

// lost is the error of every call on a connection that has ended.
func lost(cause error) error {
	return &Error{
		Code:  layer.ErrIRMd,
		Text:  fmt.Sprintf("%v: %v", ErrLost, cause),
		cause: errors.Join(ErrLost, cause),
	}
}
