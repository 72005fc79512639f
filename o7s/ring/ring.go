// SPDX-License-Identifier: BSD-3-Clause

// Package ring carries the packets of one flow between two processes through
// shared memory (DESIGN §3): a memory file with one single-producer
// single-consumer ring per direction, and a socket pair as doorbell.
//
//	A writes ──▶ ring 0 ──▶ B reads        bell: one socket each; a byte says
//	A reads  ◀── ring 1 ◀── B writes       "look again", a hang-up "I am gone"
//
// Start with New, which makes the files of both sides, and Open, which turns
// the files of one side into an End; NewEnd is both for who keeps one side
// itself. NewPort makes a layer.Port of an End, a
// Poller serves many of them with one goroutine.
//
// A record is a length (u32, native byte order) and the packet, padded to 8
// bytes; it may wrap around the end of the ring. Positions count bytes and
// never wrap. The doorbell is rung only for a side that has marked itself
// asleep, so a busy flow makes no system calls.
//
// Whatever the other side writes into the memory is hostile: a position or
// length is read once, checked, and used from the copy. What cannot be true
// ends the flow with ErrCorrupt. The memory file is sealed, so the other side
// cannot take it away either.
package ring

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"o7gw/o7s/layer"
)

// MaxPacket is the largest packet, in bytes, that a ring carries: its MTU.
const MaxPacket = 65536

// Bounds of Config.Size, in bytes. Below the least, a packet of MaxPacket
// would not fit into half a ring, which is where a sleeping writer is woken.
const (
	MinSize     = 128 << 10
	DefaultSize = 256 << 10
	MaxSize     = 1 << 30
)

// Errors of an End. A wait that ran out is os.ErrDeadlineExceeded, the end of
// the packets after the peer has closed io.EOF.
var (
	// ErrClosed: this side closed the End.
	ErrClosed = net.ErrClosed
	// ErrPeerClosed: the other side closed, or its process died.
	ErrPeerClosed = fmt.Errorf("ring: closed by the other side: %w", syscall.EPIPE)
	// ErrFinished: a write after Finish.
	ErrFinished = fmt.Errorf("ring: closed for writing: %w", syscall.EPIPE)
	// ErrTooLong: the packet exceeds MaxPacket.
	ErrTooLong = fmt.Errorf("ring: packet too long: %w", syscall.EMSGSIZE)
	// ErrCorrupt: the other side has put something impossible into the memory.
	ErrCorrupt = errors.New("ring: shared memory is corrupt")
	// ErrDown: one of the sides has marked the flow as unable to carry packets.
	ErrDown error = layer.ErrFlowDown
	// ErrWouldBlock is what NoWait answers.
	ErrWouldBlock = fmt.Errorf("ring: would block: %w", syscall.EAGAIN)
)

// Stop decides whether a call may go on waiting. It is asked before each
// wait, and again after each Wake; an error ends the call. A nil Stop waits
// until the deadline.
type Stop func() error

// NoWait is the Stop of calls that must not block.
func NoWait() error { return ErrWouldBlock }

// Side tells the two sides of a ring apart.
type Side uint8

const (
	SideA Side = iota
	SideB
)

// Config are the properties of a ring.
type Config struct {
	Size int // bytes per direction, a power of two; 0: DefaultSize
}

// Files is what one side needs: the memory and its end of the doorbell. They
// travel to another process in this order (SCM_RIGHTS).
type Files struct {
	Mem, Bell FD
	Side      Side
}

// Close closes both files. Only for those that were not given to Open.
func (f Files) Close() {
	f.Mem.Close()
	f.Bell.Close()
}
