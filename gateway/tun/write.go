// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tun

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/gateway/ip"
	"o7gw/o7s/packet"
)

// vnetLen is the length of the virtio_net_hdr in front of every packet, bytes.
const vnetLen = 10

// Writer writes packets to a device, one goroutine at a time; several Writers
// of one device may be used at once.
type Writer struct {
	dev   *Device
	items []item
	open  []int
	next  []int // per packet of the batch: the packet joined behind it, or -1
	iov   []unix.Iovec

	packets, bytes, writes, dropped atomic.Uint64
}

// WriterStats counts what a Writer did. Writes is the number of system calls,
// each of which carried one or more packets.
type WriterStats struct {
	Packets, Bytes, Writes, Dropped uint64
}

// NewWriter returns a Writer.
func (d *Device) NewWriter() *Writer { return &Writer{dev: d} }

// Stats returns the counters. It may be called at any time.
func (w *Writer) Stats() WriterStats {
	return WriterStats{w.packets.Load(), w.bytes.Load(), w.writes.Load(), w.dropped.Load()}
}

// Write hands the packets to the kernel and releases them; it clears pkts. It
// does not block: what the kernel refuses is dropped and counted. Packets of
// one connection keep their order. Each needs 10 bytes of headroom, or moves.
func (w *Writer) Write(pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	w.dev.users.RLock()
	if w.dev.gone {
		w.dev.users.RUnlock()
		w.dropped.Add(uint64(len(pkts)))
		packet.ReleaseBatch(pkts)
		return
	}
	if cap(w.next) < len(pkts) {
		w.next = make([]int, len(pkts))
	}
	w.next = w.next[:len(pkts)]
	w.plan(pkts)
	for i := range w.items {
		w.send(&w.items[i], pkts)
	}
	w.dev.users.RUnlock()
	for i := range w.items {
		w.items[i].seg.p = nil
	}
	packet.ReleaseBatch(pkts)
}

// send writes one item.
func (w *Writer) send(it *item, pkts []*packet.Buffer) {
	b := pkts[it.first]
	hdr := b.Prepend(vnetLen)
	clear(hdr)
	var err error
	if it.pieces == 1 {
		err = w.dev.write(b.Bytes())
	} else {
		it.fillHeader(hdr)
		err = w.writev(it, pkts)
	}
	w.writes.Add(1)
	if err != nil {
		w.dropped.Add(uint64(it.pieces))
		return
	}
	w.packets.Add(uint64(it.pieces))
	w.bytes.Add(uint64(it.size))
}

// write writes one packet, as a raw system call: see package poll. It does not
// wait.
func (d *Device) write(p []byte) error {
	_, _, no := unix.RawSyscall(unix.SYS_WRITE, uintptr(d.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if no != 0 {
		return no
	}
	return nil
}

// writev writes the first packet of the item whole, header in front, and of
// the others the payload.
func (w *Writer) writev(it *item, pkts []*packet.Buffer) error {
	w.iov = w.iov[:0]
	skip := 0
	for i := it.first; i >= 0; i = w.next[i] {
		p := pkts[i].Bytes()[skip:]
		v := unix.Iovec{Base: &p[0]}
		v.SetLen(len(p))
		w.iov = append(w.iov, v)
		skip = it.seg.hdrLen
	}
	_, _, no := unix.Syscall(unix.SYS_WRITEV, uintptr(w.dev.fd), uintptr(unsafe.Pointer(&w.iov[0])), uintptr(len(w.iov)))
	runtime.KeepAlive(pkts)
	clear(w.iov)
	if no != 0 {
		return no
	}
	return nil
}

// fillHeader makes the first packet's headers those of the joined packet, and
// fills the virtio_net_hdr: a segment to be split at the payload length of
// the first, with the transport checksum left to the kernel.
func (it *item) fillHeader(vnet []byte) {
	s := &it.seg
	t := s.p[s.ipLen:]
	total := it.size - s.ipLen
	gso, csum, proto := byte(unix.VIRTIO_NET_HDR_GSO_UDP_L4), 6, uint8(ip.UDP)
	switch s.kind {
	case tcp4:
		gso, csum, proto = unix.VIRTIO_NET_HDR_GSO_TCPV4, 16, ip.TCP
	case tcp6:
		gso, csum, proto = unix.VIRTIO_NET_HDR_GSO_TCPV6, 16, ip.TCP
	default:
		binary.BigEndian.PutUint16(t[4:], uint16(total))
	}
	vnet[0], vnet[1] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, gso
	binary.NativeEndian.PutUint16(vnet[2:], uint16(s.hdrLen))
	binary.NativeEndian.PutUint16(vnet[4:], uint16(s.payload))
	binary.NativeEndian.PutUint16(vnet[6:], uint16(s.ipLen))
	binary.NativeEndian.PutUint16(vnet[8:], uint16(csum))

	if s.ipLen == ip.IPv4Len {
		binary.BigEndian.PutUint16(s.p[2:], uint16(it.size))
		s.p[10], s.p[11] = 0, 0
		binary.BigEndian.PutUint16(s.p[10:], ^ip.Fold(ip.Sum(s.p[:s.ipLen], 0)))
	} else {
		binary.BigEndian.PutUint16(s.p[4:], uint16(total))
	}
	if proto == ip.TCP && s.last {
		t[13] |= tcpPSH
	}
	binary.BigEndian.PutUint16(t[csum:], ip.Fold(ip.PseudoSum(ip.Addrs(s.p), proto, total)))
}
