// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp/egress"
)

// mmsghdr is struct mmsghdr of sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes that were sent or received
}

// item is a frame. Its destination is in its header.
type item = egress.Item[struct{}]

// outlet is the egress.Outlet of a socket. It hands a batch of frames to the
// kernel with one sendmmsg, which reads from the buffers themselves. It is not
// safe for concurrent use.
type outlet struct {
	sock  *socket
	stats *counters

	items []item // not sent yet

	msgs [egress.Batch]mmsghdr
	iovs [egress.Batch]unix.Iovec
}

func newOutlet(s *socket, c *counters) *outlet {
	o := &outlet{sock: s, stats: c}
	for i := range o.msgs {
		o.msgs[i].hdr.Iov = &o.iovs[i]
		o.msgs[i].hdr.SetIovlen(1)
	}
	return o
}

// Wait implements egress.Outlet.
func (o *outlet) Wait() bool { return o.sock.waitWritable() }

// Send implements egress.Outlet.
func (o *outlet) Send(items []item) int {
	o.items = items
	for i, it := range items {
		b := it.Buf.Bytes()
		o.iovs[i].Base = unsafe.SliceData(b)
		o.iovs[i].SetLen(len(b))
	}
	for len(o.items) > 0 {
		first := &o.msgs[len(items)-len(o.items)]
		done, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(o.sock.fd), uintptr(unsafe.Pointer(first)), uintptr(len(o.items)), 0, 0, 0)
		o.stats.sendCalls.Add(1)
		switch errno {
		case 0:
			o.sent(unsafe.Slice(first, done))
		case unix.EAGAIN:
			o.stats.sendBlocked.Add(1)
			return len(items) - len(o.items)
		case unix.EINTR:
		case unix.ENETDOWN, unix.ENXIO, unix.ENODEV: // the device is down or gone, for all of them
			o.refused(len(o.items))
		default: // ENOBUFS: the device's queue is full; EMSGSIZE: its MTU shrank
			o.refused(1)
		}
	}
	return len(items)
}

// sent forgets the first frames, of these messages.
func (o *outlet) sent(msgs []mmsghdr) {
	size := uint64(0)
	for i := range msgs {
		size += uint64(msgs[i].n)
	}
	o.stats.sent.Add(uint64(len(msgs)))
	o.stats.sentBytes.Add(size)
	o.release(len(msgs))
}

// refused drops the first n frames.
func (o *outlet) refused(n int) {
	o.stats.sendFail.Add(uint64(n))
	o.release(n)
}

// release gives back the buffers of the first n frames.
func (o *outlet) release(n int) {
	egress.Release(o.items[:n])
	o.items = o.items[n:]
}
