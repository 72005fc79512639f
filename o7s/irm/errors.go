// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"syscall"

	"o7gw/o7s/layer"
)

// Errors of administrative requests, beside those of package layer. All
// errors of the package wrap one of either.
const (
	// ErrExists: there is such a thing already.
	ErrExists = layer.Errno(syscall.EEXIST)
	// ErrNotFound: there is no such IPC process, process or binding.
	ErrNotFound = layer.Errno(syscall.ENOENT)
	// ErrBusy: too much of it is under way already.
	ErrBusy = layer.Errno(syscall.EBUSY)
)

// ErrDetached is returned to calls of a Process after, or ended by, its Close.
var ErrDetached = errors.New("process is detached from the IRM")

// wait turns the end of a wait into the error number that users know;
// cancellation stays what it is.
func waitError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return layer.ErrTimedOut
	}
	return err
}

// codeOf returns the number that goes to the other node.
func codeOf(err error) layer.Errno {
	code := layer.ErrIRMd
	errors.As(err, &code)
	return code
}

// longest is the length limit, in bytes, of names of services, IPC processes
// and layers (spec 40 §0.1).
const longest = 255

func checkName(s string) error {
	switch {
	case s == "":
		return errText("name is empty", layer.ErrInvalid)
	case len(s) > longest:
		return errText("name is longer than 255 bytes", layer.ErrInvalid)
	}
	return nil
}

// textError is an error number with a text of its own in front.
type textError struct {
	text string
	err  error
}

func errText(text string, err error) error { return &textError{text, err} }
func (e *textError) Error() string         { return e.text + ": " + e.err.Error() }
func (e *textError) Unwrap() error         { return e.err }
