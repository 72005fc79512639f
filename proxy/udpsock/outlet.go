// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package udpsock

import (
	"net/netip"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/proxy"
)

// outlet is what writing needs: sockets share a few.
type outlet struct {
	msgs  [slots]mmsghdr
	iovs  [slots]unix.Iovec
	names [slots]sockaddr
	from  control // of all
}

var outlets = sync.Pool{New: func() any {
	o := &outlet{}
	for i := range o.msgs {
		o.msgs[i].hdr.Iov = &o.iovs[i]
		o.msgs[i].hdr.SetIovlen(1)
	}
	return o
}}

// nothing stands for the bytes of an empty datagram.
var nothing [1]byte

// fill makes messages of datagrams, slots at most.
func (o *outlet) fill(s *Socket, local netip.Addr, d []proxy.Datagram) {
	controlLen := 0
	if s.asked {
		controlLen = o.from.put(local, s.six)
	}
	for i := range d {
		p := d[i].Buf.Bytes()
		o.iovs[i].Base = &nothing[0]
		if len(p) > 0 {
			o.iovs[i].Base = &p[0]
		}
		o.iovs[i].SetLen(len(p))
		h := &o.msgs[i].hdr
		h.Name, h.Namelen, h.Control = nil, 0, nil
		if !s.connected {
			// Without an address the kernel refuses the message.
			h.Name, h.Namelen = &o.names[i][0], o.names[i].put(d[i].Addr, s.six)
		}
		h.SetControllen(controlLen)
		if controlLen > 0 {
			h.Control = &o.from.data[0]
		}
	}
}

// send sends the first n messages and returns how many were lost, and the last
// error.
func (o *outlet) send(fd uintptr, n int) (lost int, last error) {
	doubted := false
	for at := 0; at < n; {
		done, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&o.msgs[at])), uintptr(n-at), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			at += int(done)
			doubted = false
			continue
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return lost + n - at, last
		case errno == unix.ECONNREFUSED && !doubted:
			doubted = true // of a datagram before: this one was not tried
			continue
		}
		// The first of them is what it refuses.
		last = os.NewSyscallError("sendmmsg", errno)
		lost++
		at++
		doubted = false
	}
	runtime.KeepAlive(o)
	return lost, last
}

// put gives the outlet to whoever writes next.
func (o *outlet) put() {
	clear(o.iovs[:])
	outlets.Put(o)
}
