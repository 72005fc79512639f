// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"net/netip"

	"o7gw/o7s/packet"
)

// Datagram is a UDP datagram: Buf is its payload.
type Datagram struct {
	Src, Dst netip.AddrPort
	TOS      uint8
	Buf      *packet.Buffer
}

// datagram queues a datagram of the device for Config.UDP, and reports whether
// it kept the buffer.
func (r *reader) datagram(h *ipHeader, b *packet.Buffer) (kept bool) {
	p := b.Bytes()[h.len:h.total]
	n := 0
	if len(p) >= udpLen {
		n = int(binary.BigEndian.Uint16(p[4:]))
	}
	// 0 is "no checksum" in IPv4. In IPv6 it is what the library that reads the
	// device makes of the sum 0xffff.
	none := n >= udpLen && !h.v6 && p[6] == 0 && p[7] == 0
	if n < udpLen || n > len(p) || !none && !checked(h, p[:n]) {
		r.malformed.Add(1)
		return false
	}
	src, dst := binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	if n <= smallPacket {
		b = r.copy(p[udpLen:n])
	} else {
		kept = true
		b.TrimFront(h.len + udpLen)
		b.SetLen(n - udpLen)
	}
	r.datagrams = append(r.datagrams, Datagram{
		Src: netip.AddrPortFrom(h.src, src), Dst: netip.AddrPortFrom(h.dst, dst), TOS: h.tos, Buf: b,
	})
	return kept
}

// unicast reports whether an address can be that of one host.
func unicast(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && a != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// SendUDP sends datagrams to programs: Src is who answers, Dst the program. It
// takes the buffers, not the slice. What the device is too slow for is dropped
// and counted. May be called from any goroutine.
func (s *Stack) SendUDP(d []Datagram) {
	var out [packet.BatchSize]*packet.Buffer
	n := 0
	for i := range d {
		b := s.seal(&d[i])
		if b == nil {
			continue
		}
		if b.Len() > s.cfg.MTU || n == len(out) { // a fragmented one stays behind those before it
			s.out.send(out[:n], false, false)
			n = 0
		}
		if b.Len() > s.cfg.MTU {
			s.sendPacket(b)
			continue
		}
		out[n] = b
		n++
	}
	if n > 0 {
		s.out.send(out[:n], false, false)
	}
	s.answers.Add(1)
}

// surelyFits is the size, in bytes, up to which IPv4 packets are marked as not
// to be fragmented: that lets the device join them. Larger ones may have to be,
// by a router behind the kernel.
const surelyFits = 1280

// seal puts the headers in front of a datagram, and returns the packet; nil if
// there is none with such addresses and such a length.
func (s *Stack) seal(d *Datagram) *packet.Buffer {
	b := d.Buf
	src, dst := d.Src.Addr(), d.Dst.Addr()
	n := udpLen + b.Len()
	if src.Is4() != dst.Is4() || !src.IsValid() || n > 0xffff-ipLen(src) {
		s.malformed.Add(1)
		b.Release()
		return nil
	}
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
	h := b.Prepend(ipLen(src))
	putIP(h, src, dst, protoUDP, d.TOS, n)
	if src.Is4() && b.Len() > surelyFits {
		allowFragments(h, uint16(s.fragmentID.Add(1)))
	}
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
	const enough = 64
	p := d.Buf.Bytes()
	d.Buf = packet.Get(enough)
	d.Buf.Append(p[:min(len(p), enough)])
	if b := s.seal(&d); b != nil {
		s.unreachable(b.Bytes(), portUnreachable)
		b.Release()
	}
}
