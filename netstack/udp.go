// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"o7gw/o7s/packet"
)

// Datagram is a UDP datagram: Buf is its payload.
type Datagram struct {
	Src, Dst netip.AddrPort
	TOS      uint8
	Buf      *packet.Buffer
}

// datagram queues a datagram of the device for Config.UDP; it takes the
// buffer. The kernel, or the device, has made or checked its checksum.
func (s *Stack) datagram(h *ipHeader, b *packet.Buffer) {
	p := b.Bytes()[h.len:]
	n := 0
	if len(p) >= udpLen {
		n = int(binary.BigEndian.Uint16(p[4:]))
	}
	if n < udpLen || n > len(p) || !unicast(h.src) || !unicast(h.dst) {
		s.malformed.Add(1)
		b.Release()
		return
	}
	src, dst := binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	b.TrimFront(h.len + udpLen)
	b.SetLen(n - udpLen)
	s.datagrams = append(s.datagrams, Datagram{
		Src: netip.AddrPortFrom(h.src, src), Dst: netip.AddrPortFrom(h.dst, dst), TOS: h.tos, Buf: b,
	})
}

// unicast reports whether an address can be that of one host.
func unicast(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && a != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// reassembled takes a datagram that gVisor has put together; it is called
// within input.
func (s *Stack) reassembled(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	src, dst := addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)
	if !unicast(src.Addr()) || !unicast(dst.Addr()) {
		s.malformed.Add(1)
		return true
	}
	data := pkt.Data().AsRange().ToSlice()
	b := packet.Get(len(data))
	b.Append(data)
	tos, _ := pkt.Network().TOS()
	s.datagrams = append(s.datagrams, Datagram{Src: src, Dst: dst, TOS: tos, Buf: b})
	return true
}

// SendUDP sends datagrams to programs: Src is who answered, Dst the program.
// It takes the buffers, not the slice. May be called from any goroutine.
func (s *Stack) SendUDP(d []Datagram) {
	var out [packet.BatchSize]*packet.Buffer
	n := 0
	for i := range d {
		if d[i].Src.Addr().Is4() != d[i].Dst.Addr().Is4() || d[i].Buf.Len() > 0xffff-udpLen {
			s.malformed.Add(1)
			d[i].Buf.Release()
			continue
		}
		b := seal(&d[i])
		if b.Len() > s.cfg.MTU {
			if n > 0 {
				s.out.send(out[:n])
				n = 0
			}
			s.out.send(fragment(b, s.cfg.MTU, s.fragmentID.Add(1)))
			continue
		}
		out[n] = b
		if n++; n == len(out) {
			s.out.send(out[:n])
			n = 0
		}
	}
	if n > 0 {
		s.out.send(out[:n])
	}
}

// seal puts the headers in front of a datagram.
func seal(d *Datagram) *packet.Buffer {
	b := d.Buf
	src, dst := d.Src.Addr(), d.Dst.Addr()
	n := udpLen + b.Len()
	u := b.Prepend(udpLen)
	binary.BigEndian.PutUint16(u, d.Src.Port())
	binary.BigEndian.PutUint16(u[2:], d.Dst.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(n))
	u[6], u[7] = 0, 0
	c := ^fold(sum(b.Bytes(), pseudo(src, dst, protoUDP, n)))
	if c == 0 {
		c = 0xffff // RFC 768: 0 is "no checksum"
	}
	binary.BigEndian.PutUint16(u[6:], c)
	putIP(b.Prepend(ipLen(src)), src, dst, protoUDP, d.TOS, n)
	return b
}

// fragment splits a packet without options or extension headers; it takes the
// buffer (RFC 791, RFC 8200 §4.5).
func fragment(b *packet.Buffer, mtu int, id uint32) []*packet.Buffer {
	defer b.Release()
	p := b.Bytes()
	v6 := p[0]>>4 == 6
	hdr, extra := ip4Len, 0
	if v6 {
		hdr, extra = ip6Len, 8
	}
	body := p[hdr:]
	size := (mtu - hdr - extra) &^ 7
	var out []*packet.Buffer
	for off := 0; off < len(body); off += size {
		part := body[off:min(off+size, len(body))]
		more := uint16(0)
		if off+len(part) < len(body) {
			more = 1
		}
		f := packet.Get(hdr + extra + len(part))
		f.Append(p[:hdr])
		h := f.Bytes()
		if v6 {
			binary.BigEndian.PutUint16(h[4:], uint16(extra+len(part)))
			h[6] = 44
			e := f.Extend(extra)
			e[0], e[1] = p[6], 0
			binary.BigEndian.PutUint16(e[2:], uint16(off)|more)
			binary.BigEndian.PutUint32(e[4:], id)
		} else {
			binary.BigEndian.PutUint16(h[2:], uint16(hdr+len(part)))
			binary.BigEndian.PutUint16(h[4:], uint16(id))
			binary.BigEndian.PutUint16(h[6:], more<<13|uint16(off/8))
			h[10], h[11] = 0, 0
			binary.BigEndian.PutUint16(h[10:], ^fold(sum(h[:hdr], 0)))
		}
		f.Append(part)
		out = append(out, f)
	}
	return out
}

// UDPUnreachable tells the sender of a datagram that nobody takes it. The
// buffer stays the caller's.
func (s *Stack) UDPUnreachable(d Datagram) {
	// The headers as they were, as far as the sender looks at them.
	c := d
	c.Buf = packet.Get(min(d.Buf.Len(), 64))
	c.Buf.Append(d.Buf.Bytes()[:min(d.Buf.Len(), 64)])
	b := seal(&c)
	s.unreachable(b.Bytes(), portUnreachable)
	b.Release()
}
