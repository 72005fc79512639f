// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package udpsock

import (
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/proxy"
)

const (
	// maxSegments is how many datagrams the kernel cuts from one message
	// (UDP_MAX_SEGMENTS; newer kernels take more).
	maxSegments = 64
	// maxSegment is the size of datagrams that go so, bytes: the kernel does
	// not fragment them, and every path carries these (RFC 8200 §5).
	maxSegment = 1280 - 40 - 8
)

// outlet is what writing needs: sockets share a few. Consecutive datagrams of
// equal size to one address are one message, which the kernel cuts (GSO).
type outlet struct {
	msgs     [slots]mmsghdr
	counts   [slots]int // datagrams in each message
	iovs     [slots]unix.Iovec
	names    [slots]sockaddr
	controls [slots]outControl
}

// outControl has room for two control messages: the address from which a
// message is sent, and UDP_SEGMENT.
type outControl struct {
	from    control
	segment [24]byte // header, u16, padding
}

var outlets = sync.Pool{New: func() any { return &outlet{} }}

// nothing stands for the bytes of an empty datagram.
var nothing [1]byte

// fill makes messages of datagrams, slots at most, and returns how many.
func (o *outlet) fill(s *Socket, local netip.Addr, d []proxy.Datagram) (n int) {
	gso := !s.whole.Load()
	for i := range d {
		p := d[i].Buf.Bytes()
		o.iovs[i].Base = &nothing[0]
		if len(p) > 0 {
			o.iovs[i].Base = &p[0]
		}
		o.iovs[i].SetLen(len(p))
	}
	for i := 0; i < len(d); n++ {
		count := 1
		if gso {
			count = group(d[i:], s.connected)
		}
		o.message(n, s, local, d[i], count, i)
		i += count
	}
	return n
}

// group returns how many datagrams at the front can be one message: all of the
// size of the first, but the last may be shorter.
func group(d []proxy.Datagram, connected bool) int {
	size := d[0].Buf.Len()
	if size == 0 || size > maxSegment {
		return 1
	}
	n := 1
	for n < min(len(d), maxSegments) && (connected || d[n].Addr == d[0].Addr) {
		l := d[n].Buf.Len()
		if l == 0 || l > size {
			break
		}
		n++
		if l < size {
			break
		}
	}
	return n
}

// message makes message n of count datagrams, whose first is d, with iovecs
// from at on.
func (o *outlet) message(n int, s *Socket, local netip.Addr, d proxy.Datagram, count, at int) {
	h, c := &o.msgs[n].hdr, &o.controls[n]
	*h = unix.Msghdr{Iov: &o.iovs[at]}
	h.SetIovlen(count)
	o.counts[n] = count
	if !s.connected {
		// Without an address the kernel refuses the message.
		h.Name, h.Namelen = &o.names[n][0], o.names[n].put(d.Addr, s.six)
	}
	begin, end := len(c.from.data), len(c.from.data)
	if s.asked {
		if size := c.from.put(local, s.six); size > 0 {
			begin -= size
			copy(c.from.data[begin:], c.from.data[:size])
		}
	}
	if count > 1 {
		g := (*unix.Cmsghdr)(unsafe.Pointer(&c.segment))
		g.Level, g.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		g.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(c.segment[unix.CmsgLen(0):], uint16(d.Buf.Len()))
		end += len(c.segment)
	}
	if end > begin {
		h.Control = (*byte)(unsafe.Add(unsafe.Pointer(c), begin))
		h.SetControllen(end - begin)
	}
}

// send sends the first n messages and returns how many datagrams were lost, and
// the last error. cut: the kernel, or the device, cannot cut messages.
func (o *outlet) send(fd uintptr, n int) (lost int, cut bool, last error) {
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
			for ; at < n; at++ {
				lost += o.counts[at]
			}
			return lost, cut, last
		case errno == unix.ECONNREFUSED && !doubted:
			doubted = true // of a datagram before: this one was not tried
			continue
		}
		// The first of them is what it refuses.
		last = os.NewSyscallError("sendmmsg", errno)
		cut = cut || o.counts[at] > 1 && (errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE || errno == unix.ENOPROTOOPT)
		lost += o.counts[at]
		at++
		doubted = false
	}
	runtime.KeepAlive(o)
	return lost, cut, last
}

// put gives the outlet to whoever writes next.
func (o *outlet) put() {
	clear(o.iovs[:])
	outlets.Put(o)
}
