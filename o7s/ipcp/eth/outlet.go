// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

// mmsghdr is struct mmsghdr of sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes that were sent or received
}

// outlet hands a batch of frames to the kernel with one sendmmsg, which reads
// from the buffers themselves. It is not safe for concurrent use.
type outlet struct {
	sock  *socket
	stats *counters

	bufs       [batchLimit]*packet.Buffer
	start, end int // bufs[start:end] are not sent yet

	msgs [batchLimit]mmsghdr
	iovs [batchLimit]unix.Iovec
}

func (o *outlet) init(s *socket, c *counters) {
	o.sock, o.stats = s, c
	for i := range o.msgs {
		o.msgs[i].hdr.Iov = &o.iovs[i]
		o.msgs[i].hdr.SetIovlen(1)
	}
}

// send hands over what there is. It returns false if the socket is full:
// call it again when it is writable.
func (o *outlet) send() bool {
	for i := o.start; i < o.end; i++ {
		b := o.bufs[i].Bytes()
		o.iovs[i].Base = unsafe.SliceData(b)
		o.iovs[i].SetLen(len(b))
	}
	for o.start < o.end {
		done, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(o.sock.fd), uintptr(unsafe.Pointer(&o.msgs[o.start])), uintptr(o.end-o.start), 0, 0, 0)
		o.stats.sendCalls.Add(1)
		switch errno {
		case 0:
			o.sent(int(done))
		case unix.EAGAIN:
			o.stats.sendBlocked.Add(1)
			return false
		case unix.EINTR:
		case unix.ENETDOWN, unix.ENXIO, unix.ENODEV: // the device is down or gone, for all of them
			o.abandon()
		default: // ENOBUFS: the device's queue is full; EMSGSIZE: its MTU shrank
			o.stats.sendFail.Add(1)
			o.drop(1)
		}
	}
	o.start, o.end = 0, 0
	return true
}

// sent forgets the first n frames.
func (o *outlet) sent(n int) {
	size := uint64(0)
	for _, m := range o.msgs[o.start : o.start+n] {
		size += uint64(m.n)
	}
	o.stats.sent.Add(uint64(n))
	o.stats.sentBytes.Add(size)
	o.drop(n)
}

// drop releases the first n frames.
func (o *outlet) drop(n int) {
	packet.ReleaseBatch(o.bufs[o.start : o.start+n]) // clears the slice
	o.start += n
}

// abandon drops what is not sent.
func (o *outlet) abandon() {
	o.stats.sendFail.Add(uint64(o.end - o.start))
	o.drop(o.end - o.start)
	o.start, o.end = 0, 0
}
