// SPDX-License-Identifier: BSD-3-Clause

// Package backlog tells how many packets too many wait in the receive buffer
// of a socket: a node that cannot read as fast as packets come must say so (the
// congestion marks of unicast layers) before the kernel drops them.
package backlog

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// perPacket is what the kernel accounts for a packet of full size, bytes.
	// With small ones more wait than is said.
	perPacket = 2304
	// usual is how many packets may wait without anybody being told, of the some
	// 3600 for which there is room: bursts are read in time. To slow
	// flows down for those leaves the processor idle.
	usual = 2048
	// gentle is by how much less it counts than what waits for a wire: this node
	// works as fast as it can, and a little less of a rate is enough.
	gentle = 4
)

// memInfo is the array that SO_MEMINFO fills; its first element is the memory
// that the receive buffer takes, bytes.
type memInfo [9]uint32

// Gauge holds the last known backlog of a socket. The zero value says 0.
type Gauge struct {
	packets atomic.Int64
	info    memInfo
}

// Update looks at the socket, if more may wait in it than was just read: full tells
// whether the reader got as much as it can take at once. One goroutine calls it.
func (g *Gauge) Update(fd int, full bool) {
	if !full {
		if g.packets.Load() != 0 {
			g.packets.Store(0)
		}
		return
	}
	size := uint32(unsafe.Sizeof(g.info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&g.info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 {
		g.packets.Store(max(0, int64(g.info[0]/perPacket)-usual) / gentle)
	}
}

// Packets returns by how many packets what waited was more than usual when Update
// was called last, as a queue in front of a wire would count.
func (g *Gauge) Packets() int { return int(g.packets.Load()) }
