// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"runtime"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"o7gw/o7s/packet"
)

const (
	// readBatch is how many buffers a read of the device needs.
	readBatch = packet.BatchSize
	// pushBatch is how many datagrams are pushed together at most.
	pushBatch = packet.BatchSize
	// smallPacket is the size, in bytes, up to which a datagram is copied out
	// of the buffer for reading, which has room for 64 KiB: what waits on its
	// way shall not hold that much.
	smallPacket = 1792
	// unchecked is the size, in bytes, above which checksums are not verified:
	// packets that large were made, or joined and verified, by this kernel.
	// Smaller ones may be forwarded, and the kernel does not verify those.
	unchecked = 9216
	// splitAt is the size, in bytes, above which headers are given to gVisor
	// apart: it copies the part with the headers.
	splitAt = 1024
)

// reader is the state of the goroutine that reads the device.
type reader struct {
	*Stack
	datagrams []Datagram // to be pushed
	small     []*packet.Buffer
	fragments reassembler
	tcp       bool // gVisor got something, and may not have run yet
	more      bool // the packet is not the last of its batch
	joined    joined
}

// read carries packets from the device until that is closed.
func (s *Stack) read() {
	r := &reader{Stack: s}
	room := s.cfg.Device.Room()
	bufs := make([]*packet.Buffer, readBatch)
	packet.GetBatch(bufs, room)
	defer func() {
		packet.ReleaseBatch(bufs)
		packet.ReleaseBatch(r.small)
		r.fragments.close()
	}()
	for !s.closed.Load() {
		if err := s.cfg.Device.Wait(s.answers.Load()); err != nil {
			return
		}
		if now := s.cfg.Device.Room(); now > room {
			room = now
			packet.ReleaseBatch(bufs)
			packet.GetBatch(bufs, room)
		}
		if !r.drain(bufs, room) {
			return
		}
		if r.tcp {
			// gVisor's goroutine is the next on this thread; it must run before
			// this one blocks in poll(2), or another thread has to wake up to
			// find it, which is a third of the time of a round trip.
			r.tcp = false
			runtime.Gosched()
		}
	}
}

// drain reads until nothing is left, and reports whether the device is open.
func (r *reader) drain(bufs []*packet.Buffer, room int) bool {
	for {
		n, err := r.cfg.Device.Read(bufs)
		if n == 0 || err != nil {
			r.push()
			return err == nil
		}
		bytes := 0
		for i, b := range bufs[:n] {
			bytes += b.Len()
			r.more = i < n-1
			if r.packet(b) {
				bufs[i] = packet.Get(room)
			}
		}
		r.flush()
		r.rxPackets.Add(uint64(n))
		r.rxBytes.Add(uint64(bytes))
		if len(r.datagrams) >= pushBatch {
			r.push()
		}
	}
}

// push gives the datagrams away.
func (r *reader) push() {
	if len(r.datagrams) == 0 {
		return
	}
	if r.cfg.UDP == nil {
		for i := range r.datagrams {
			r.datagrams[i].Buf.Release()
		}
	} else {
		r.cfg.UDP(r.datagrams)
	}
	clear(r.datagrams)
	r.datagrams = r.datagrams[:0]
}

// packet takes one packet, and reports whether it kept the buffer. If not, the
// buffer is as it was.
func (r *reader) packet(b *packet.Buffer) (kept bool) {
	p := b.Bytes()
	h, ok := parseIP(p)
	switch {
	case !ok:
		r.malformed.Add(1)
	case !unicast(h.src) || !unicast(h.dst):
		r.unhandled.Add(1) // what the kernel tells the neighbours it does not have here
	case h.fragment:
		return r.fragment(&h, b)
	case h.proto == protoTCP:
		r.segment(&h, p[:h.total])
	case h.proto == protoUDP:
		return r.datagram(&h, b)
	case h.proto == protoICMP4 && !h.v6 || h.proto == protoICMP6 && h.v6:
		r.icmpIn(&h, p[:h.total])
	default:
		r.unhandled.Add(1)
		r.unreachable(p[:h.total], protocolUnreachable)
	}
	return false
}

// fragment takes a fragment, and the packet that it completes.
func (r *reader) fragment(h *ipHeader, b *packet.Buffer) (kept bool) {
	kept = true
	if b.Len() <= smallPacket {
		b, kept = r.copy(b.Bytes()), false
	}
	whole, ok := r.fragments.take(h, b, r.now())
	if !ok {
		r.malformed.Add(1)
	}
	if whole != nil {
		// Not joined with others: that would go on when the buffer is gone.
		r.flush()
		r.more = false
		if !r.packet(whole) {
			whole.Release()
		}
	}
	return kept
}

// copy returns p in a small buffer.
func (r *reader) copy(p []byte) *packet.Buffer {
	if len(r.small) == 0 {
		if cap(r.small) == 0 {
			r.small = make([]*packet.Buffer, pushBatch)
		}
		r.small = r.small[:pushBatch]
		packet.GetBatch(r.small, smallPacket)
	}
	last := len(r.small) - 1
	b := r.small[last]
	r.small[last] = nil
	r.small = r.small[:last]
	b.Append(p)
	return b
}

// segment gives a TCP packet to gVisor, which copies it; now, or with those
// that follow.
func (r *reader) segment(h *ipHeader, p []byte) {
	t := p[h.len:]
	if len(t) < tcpLen || t[12]>>4 < tcpLen/4 || int(t[12]>>4)*4 > len(t) || !checked(h, t) {
		r.malformed.Add(1)
		return
	}
	r.tcp = true
	hdr := h.len + int(t[12]>>4)*4
	if (r.more || r.joined.head != nil) && r.join(h, p, hdr) {
		return
	}
	r.flush()
	r.deliver(h, p, hdr)
}

// deliver gives a packet to gVisor; its first hdr bytes are headers.
func (s *Stack) deliver(h *ipHeader, p []byte, hdr int) {
	if len(p) < splitAt {
		hdr = len(p)
	}
	data := buffer.MakeWithData(p[:hdr])
	if hdr < len(p) {
		data.Append(buffer.NewViewWithData(p[hdr:]))
	}
	s.give(h.v6, data)
}

// give gives a packet to gVisor.
func (s *Stack) give(v6 bool, data buffer.Buffer) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: data})
	proto := tcpip.NetworkProtocolNumber(header.IPv4ProtocolNumber)
	if v6 {
		proto = header.IPv6ProtocolNumber
	}
	s.link.deliver(proto, pkt)
	pkt.DecRef()
}

// checked verifies the checksum of TCP, UDP or ICMPv6, unless the kernel has
// done so: t is what follows the IP header.
func checked(h *ipHeader, t []byte) bool {
	return len(t) > unchecked || fold(sum(t, pseudo(h.src, h.dst, h.proto, len(t)))) == 0xffff
}
