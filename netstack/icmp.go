// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"

	"o7gw/o7s/packet"
)

// reason is why something is unreachable: the ICMP codes for IPv4 and IPv6
// (RFC 792, RFC 4443).
type reason struct{ code4, code6 uint8 }

var (
	portUnreachable = reason{3, 4}
	hostUnreachable = reason{1, 3}
	// IPv6 has no code for a protocol that is no parameter problem:
	// administratively prohibited.
	protocolUnreachable = reason{2, 1}
)

// ICMP types, codes and lengths.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	unreachable4             = 3
	unreachable6             = 1
	fragmentationNeeded4     = 4 // a code of unreachable4
	packetTooBig6            = 2
	icmpLen                  = 8
	// quoted is how much of the packet an error quotes, bytes: within the
	// smallest MTU of IPv6, and what hosts of IPv4 expect.
	quoted = 548
)

// icmpIn answers pings to what is served here; others are unreachable. Of the
// errors about our own packets only those about the MTU matter: TCP finds out
// the rest by itself.
func (s *Stack) icmpIn(h *ipHeader, p []byte) {
	m := p[h.len:]
	if len(m) < icmpLen || !h.v6 && fold(sum(m, 0)) != 0xffff || h.v6 && !checked(h, m) {
		s.malformed.Add(1)
		return
	}
	switch {
	case !h.v6 && m[0] == echoRequest4:
		s.echo(h, p, echoReply4)
	case h.v6 && m[0] == echoRequest6:
		s.echo(h, p, echoReply6)
	case !h.v6 && m[0] == unreachable4 && m[1] == fragmentationNeeded4, h.v6 && m[0] == packetTooBig6:
		s.deliver(h, p, len(p))
	default:
		s.unhandled.Add(1)
	}
}

// echo answers a ping.
func (s *Stack) echo(h *ipHeader, p []byte, reply uint8) {
	if s.cfg.Echo == nil || !s.cfg.Echo(h.dst) {
		s.unreachable(p, hostUnreachable)
		return
	}
	if !s.pings.allow(s.now()) {
		return
	}
	m := p[h.len:]
	b := packet.Get(len(m))
	b.Append(m)
	b.Bytes()[0] = reply
	s.sendICMP(h, b)
	s.echoes.Add(1)
}

// sendICMP sends a message in answer to a packet with the header h; it takes
// the buffer.
func (s *Stack) sendICMP(h *ipHeader, b *packet.Buffer) {
	m := b.Bytes()
	m[2], m[3] = 0, 0
	var start uint64
	proto := uint8(protoICMP4)
	if h.v6 {
		proto = protoICMP6
		start = pseudo(h.dst, h.src, proto, len(m))
	}
	binary.BigEndian.PutUint16(m[2:], ^fold(sum(m, start)))
	putIP(b.Prepend(ipLen(h.src)), h.dst, h.src, proto, 0, len(m))
	s.sendPacket(b)
}

// sendPacket sends a packet, in fragments if it must; it takes the buffer.
func (s *Stack) sendPacket(b *packet.Buffer) {
	if b.Len() > s.cfg.MTU {
		s.out.send(fragment(b, s.cfg.MTU, s.fragmentID.Add(1)), false, false)
		return
	}
	one := [1]*packet.Buffer{b}
	s.out.send(one[:], false, false)
}

// unreachable sends an ICMP error about a packet to its source, in the name of
// its destination.
func (s *Stack) unreachable(p []byte, why reason) {
	h, ok := parseIP(p)
	if !ok || !unicast(h.src) || !unicast(h.dst) || !s.icmpErr.allow(s.now()) {
		return
	}
	q := p[:min(len(p), quoted)]
	b := packet.Get(icmpLen + len(q))
	m := b.Extend(icmpLen)
	clear(m)
	m[0], m[1] = unreachable4, why.code4
	if h.v6 {
		m[0], m[1] = unreachable6, why.code6
	}
	b.Append(q)
	s.sendICMP(&h, b)
	s.icmpErrors.Add(1)
}

// tcpUnreachable tells a client that its destination cannot be reached. The
// quoted packet is the beginning of its SYN, as far as it is looked at.
func (s *Stack) tcpUnreachable(r *TCPRequest) {
	src, dst := r.Src.Addr(), r.Dst.Addr()
	b := packet.Get(tcpLen)
	t := b.Extend(tcpLen)
	clear(t)
	binary.BigEndian.PutUint16(t, r.Src.Port())
	binary.BigEndian.PutUint16(t[2:], r.Dst.Port())
	binary.BigEndian.PutUint32(t[4:], r.seq)
	t[12], t[13] = 5<<4, 2 // header without options, SYN
	putIP(b.Prepend(ipLen(src)), src, dst, protoTCP, r.TOS, tcpLen)
	s.unreachable(b.Bytes(), hostUnreachable)
	b.Release()
}
