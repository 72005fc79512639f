// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"errors"
	"io"
	"net"
)

// Addr is the name of a service or layer, as a net.Addr. The end of a flow
// that has no name is "".
type Addr string

// Network returns "o7s".
func (Addr) Network() string { return "o7s" }

// String returns the name.
func (a Addr) String() string { return string(a) }

var _ net.Addr = Addr("")

// opError says which operation failed on what. The end of a flow stays
// io.EOF: readers compare it.
func opError(op, name string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "o7s", Addr: Addr(name), Err: err}
}
