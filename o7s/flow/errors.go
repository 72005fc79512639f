// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"o7gw/o7s/layer"
	"o7gw/o7s/ring"
)

// ended returns the error of a call that met the end of the flow: that the
// daemon which carried it has died is no end like another, for much may be
// missing.
func (f *Flow) ended(err error) error {
	r := f.att.Ring
	if err != io.EOF && err != ErrPeerClosed && err != ErrAborted || r == nil {
		return err
	}
	if f.att.Lost != nil && r.PeerDied() {
		if lost := f.att.Lost(); lost != nil {
			return lost
		}
	}
	if err == io.EOF && f.att.Direct && f.att.QoS.Reliable() && !r.PeerFinished() {
		return ErrAborted
	}
	return err
}

// Errors of the calls of a Flow. A wait that ran out is
// os.ErrDeadlineExceeded, the end of the packets after the peer has closed io.EOF,
// a call after Close net.ErrClosed.
var (
	// ErrDown: the flow cannot carry packets now.
	ErrDown error = layer.ErrFlowDown
	// ErrPeer: nothing has arrived from the peer for the timeout of the QoS.
	ErrPeer error = layer.ErrFlowPeer
	// ErrPeerClosed: a write after the peer has closed.
	ErrPeerClosed = ring.ErrPeerClosed
	// ErrFinished: a write after CloseWrite.
	ErrFinished = ring.ErrFinished
	// ErrAborted: a reliable flow ended before the peer had finished:
	// something that it wrote may be missing.
	ErrAborted = fmt.Errorf("flow: the peer ended before everything had arrived: %w", io.ErrUnexpectedEOF)
	// ErrUnsent: a reliable flow was closed, and the peer may not have
	// everything that was written.
	ErrUnsent = errors.New("flow: the peer may lack some of what was written")
	// ErrWouldBlock: the flow is non-blocking and the call would have to wait.
	ErrWouldBlock = ring.ErrWouldBlock
	// ErrTooLong: the packet exceeds the MTU of the flow.
	ErrTooLong error = syscall.EMSGSIZE
	// ErrReadOnly: the access mode of the flow forbids writing.
	ErrReadOnly error = syscall.EPERM
	// ErrPushed: the packets go to a receiver; they cannot be read.
	ErrPushed = errors.New("flow: packets go to a receiver")
)
