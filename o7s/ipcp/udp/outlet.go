// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp/egress"
)

const (
	// maxSegments is how many datagrams the kernel cuts from one
	// (UDP_MAX_SEGMENTS; newer kernels take more).
	maxSegments = 64
	// maxDoubt is how often a refusal of the first message is not believed,
	// since an error of an earlier datagram is reported in the same way.
	maxDoubt = 3
	// maxGroup is how many bytes they have together: an IP packet without
	// the longer headers.
	maxGroup = 65535 - headers6
)

// mmsghdr is struct mmsghdr of sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes that were sent or received
}

// segmentControl is a control message UDP_SEGMENT: header, u16, padding.
type segmentControl [24]byte

// item is a datagram and where it goes.
type item = egress.Item[peer]

// outlet is the egress.Outlet of a socket. It hands a batch of datagrams to
// the kernel: one sendmmsg, in which
// consecutive datagrams of equal size to one destination are one message that
// the kernel or the device segments (GSO). The kernel reads from the buffers
// themselves. It is not safe for concurrent use.
type outlet struct {
	sock  *socket
	stats *counters

	items []item // not sent yet

	// Made anew for each call.
	msgs     [egress.Batch]mmsghdr
	counts   [egress.Batch]int // items in each message
	iovs     [egress.Batch]unix.Iovec
	controls [egress.Batch]segmentControl
}

func newOutlet(s *socket, c *counters) *outlet {
	o := &outlet{sock: s, stats: c}
	for i := range o.controls {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&o.controls[i]))
		h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
	}
	return o
}

// Wait implements egress.Outlet.
func (o *outlet) Wait() bool { return o.sock.wait(unix.POLLOUT) }

// Send implements egress.Outlet.
func (o *outlet) Send(items []item) int {
	o.items = items
	doubt := 0
	for len(o.items) > 0 {
		n := o.fill()
		done, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(o.sock.fd), uintptr(unsafe.Pointer(&o.msgs)), uintptr(n), 0, 0, 0)
		o.stats.sendCalls.Add(1)
		switch errno {
		case 0:
			o.sent(int(done))
			doubt = 0
		case unix.EAGAIN:
			o.stats.sendBlocked.Add(1)
			return len(items) - len(o.items)
		case unix.EINTR:
		default:
			// Earlier errors concern the receiving goroutine.
			o.sock.errs.Store(true)
			if doubt++; doubt <= maxDoubt {
				continue
			}
			doubt = 0
			o.refused(errno)
		}
	}
	return len(items)
}

// fill makes the messages for the items, and returns how many.
func (o *outlet) fill() int {
	gso := o.sock.gso.Load()
	n := 0
	for i := 0; i < len(o.items); n++ {
		first := i
		to, size, sum := o.items[i].To, o.items[i].Buf.Len(), 0
		limit := 1
		if gso && !to.noGSO.Load() {
			limit = maxSegments
		}
		for ; i < len(o.items) && i-first < limit; i++ {
			it := o.items[i]
			l := it.Buf.Len()
			if it.To != to && it.To.at != to.at || l > size || sum+l > maxGroup && i > first {
				break
			}
			sum += l
			b := it.Buf.Bytes()
			o.iovs[i].Base = unsafe.SliceData(b)
			o.iovs[i].SetLen(l)
			if l < size { // only the last may be shorter
				i++
				break
			}
		}
		o.counts[n] = i - first
		h := &o.msgs[n].hdr
		h.Name, h.Namelen = &to.sa[0], to.saLen
		h.Iov = &o.iovs[first]
		h.SetIovlen(i - first)
		h.Control = nil
		h.SetControllen(0)
		if i-first > 1 {
			c := &o.controls[n]
			binary.NativeEndian.PutUint16(c[unix.CmsgLen(0):], uint16(size))
			h.Control = &c[0]
			h.SetControllen(unix.CmsgSpace(2))
		}
	}
	return n
}

// sent forgets the items of the first n messages.
func (o *outlet) sent(n int) {
	done, groups, size := 0, 0, uint32(0)
	for i := range n {
		done += o.counts[i]
		size += o.msgs[i].n
		if o.counts[i] > 1 {
			groups++
		}
	}
	o.stats.sent.Add(uint64(done))
	o.stats.sentBytes.Add(uint64(size))
	o.stats.gsoBatches.Add(uint64(groups))
	o.release(done)
}

// refused deals with an error for the first message. A group is tried again
// one by one; what is refused then is dropped.
func (o *outlet) refused(errno unix.Errno) {
	if o.counts[0] > 1 {
		o.stats.gsoRefused.Add(1)
		switch errno {
		case unix.EIO: // the device cannot do the checksums
			o.sock.gsoOff(errno)
			return
		case unix.EINVAL, unix.EMSGSIZE: // segments above the MTU of the path, say
			o.gsoOffTo(o.items[0].To, errno)
			return
		}
	}
	o.stats.sendFail.Add(uint64(o.counts[0]))
	o.release(o.counts[0])
}

// gsoOffTo ends segmentation toward one peer.
func (o *outlet) gsoOffTo(to *peer, why error) {
	if !to.noGSO.Swap(true) {
		o.sock.log.Warn("UDP segmentation offload refused, switched off for the flow", "peer", to.at.String(), "err", why)
	}
}

// release gives back the buffers of the first n items.
func (o *outlet) release(n int) {
	egress.Release(o.items[:n])
	o.items = o.items[n:]
}
