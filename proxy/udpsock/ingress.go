// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package udpsock

import (
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

const (
	// slots is how many datagrams are moved with one system call.
	slots = 32
	// usual is the room for a datagram in its buffer, bytes: that of the
	// smallest pool. The rest of larger ones goes through the overflow.
	usual = 1792
	// overflow is the room behind that, for the largest datagram of UDP.
	overflow = 65536 - usual
)

// ingress is what reading needs while it does not wait: sockets share a few.
type ingress struct {
	msgs     [slots]mmsghdr
	iovs     [slots][2]unix.Iovec
	names    [slots]sockaddr
	controls [slots]control
	bufs     [slots]*packet.Buffer // nil: given away
	over     []byte                // slots of overflow; the pages of those that are not used cost nothing
}

var ingresses = sync.Pool{New: func() any {
	in := &ingress{over: make([]byte, slots*overflow)}
	for i := range in.msgs {
		h := &in.msgs[i].hdr
		h.Name, h.Iov, h.Control = &in.names[i][0], &in.iovs[i][0], &in.controls[i].data[0]
		h.SetIovlen(2)
		in.iovs[i][0].SetLen(usual)
		in.iovs[i][1].Base = &in.over[i*overflow]
		in.iovs[i][1].SetLen(overflow)
	}
	return in
}}

// read fills slots without waiting, and returns how many.
func (in *ingress) read(fd uintptr) (int, unix.Errno) {
	in.refill()
	for i := range in.msgs {
		h := &in.msgs[i].hdr
		h.Namelen = uint32(len(in.names[i]))
		h.SetControllen(len(in.controls[i].data))
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs)), slots, unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			runtime.KeepAlive(in)
			return int(n), errno
		}
	}
}

// refill gives buffers to the slots that have none.
func (in *ingress) refill() {
	var fresh [slots]*packet.Buffer
	missing := 0
	for _, b := range in.bufs {
		if b == nil {
			missing++
		}
	}
	packet.GetBatch(fresh[:missing], usual)
	for i, b := range in.bufs {
		if b == nil {
			missing--
			b = fresh[missing]
			in.bufs[i] = b
		}
		back, off := b.Backing()
		in.iovs[i][0].Base = &back[off]
	}
}

// buffer returns the datagram in slot i; the caller owns it.
func (in *ingress) buffer(i int) *packet.Buffer {
	n := int(in.msgs[i].n)
	b := in.bufs[i]
	if n <= usual {
		in.bufs[i] = nil
		b.SetLen(n)
		return b
	}
	big := packet.Get(min(n, packet.MaxPayload))
	back, off := b.Backing()
	big.Append(back[off : off+usual])
	big.Append(in.over[i*overflow:][:min(n-usual, overflow)])
	return big
}

// put gives the buffers back, and in to whoever reads next.
func (in *ingress) put() {
	n := 0
	for i, b := range in.bufs {
		if b != nil {
			in.bufs[n] = b
			n++
		}
		in.iovs[i][0].Base = nil
	}
	packet.ReleaseBatch(in.bufs[:n])
	clear(in.bufs[:])
	ingresses.Put(in)
}
