// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"time"

	"o7gw/o7s/packet"
)

// cause is why something is unreachable: the ICMP codes for IPv4 and IPv6
// (RFC 792, RFC 4443).
type cause struct{ code4, code6 uint8 }

var (
	portUnreachable     = cause{3, 4}
	hostUnreachable     = cause{1, 3}
	protocolUnreachable = cause{2, 1} // IPv6 has no code for it that is no parameter problem: administratively prohibited
)

// ICMP types and lengths.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	unreachable4             = 3
	unreachable6             = 1
	icmpLen                  = 8
	// quoted is how much of the packet an error quotes, bytes: within the
	// smallest MTU of IPv6, and what hosts of IPv4 expect.
	quoted = 548
)

// icmpIn answers pings to what is served here; others are unreachable. Errors
// about packets of ours are of no use: TCP finds out by itself.
func (s *Stack) icmpIn(h *ipHeader, p []byte) {
	m := p[h.len:]
	request, reply := byte(echoRequest4), byte(echoReply4)
	if h.v6 {
		request, reply = echoRequest6, echoReply6
	}
	if len(m) < icmpLen {
		s.malformed.Add(1)
		return
	}
	if m[0] != request || !unicast(h.src) || !unicast(h.dst) {
		return
	}
	if s.cfg.Echo == nil || !s.cfg.Echo(h.dst) {
		s.unreachable(p, hostUnreachable)
		return
	}
	if !s.icmp.allow(time.Now()) {
		return
	}
	b := packet.Get(len(m))
	b.Append(m)
	m = b.Bytes()
	m[0] = reply
	s.finishICMP(h, b)
	s.echoes.Add(1)
}

// finishICMP sends a message in answer to a packet with the header h; it takes
// the buffer.
func (s *Stack) finishICMP(h *ipHeader, b *packet.Buffer) {
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
	s.out.send([]*packet.Buffer{b})
}

// unreachable sends an ICMP error about a packet to its source, in the name of
// its destination.
func (s *Stack) unreachable(p []byte, why cause) {
	h, ok := parseIP(p)
	if !ok || !unicast(h.src) || !unicast(h.dst) || !s.icmp.allow(time.Now()) {
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
	s.finishICMP(&h, b)
	s.icmpErrors.Add(1)
}

// tcpUnreachable tells a client that its destination cannot be reached. The
// quoted packet is the beginning of its SYN, as far as it is looked at.
func (s *Stack) tcpUnreachable(r *TCPRequest) {
	src, dst := r.Src.Addr(), r.Dst.Addr()
	b := packet.Get(tcpQuoted)
	t := b.Extend(tcpQuoted)
	clear(t)
	binary.BigEndian.PutUint16(t, r.Src.Port())
	binary.BigEndian.PutUint16(t[2:], r.Dst.Port())
	binary.BigEndian.PutUint32(t[4:], r.seq)
	t[12], t[13] = 5<<4, 2 // header without options, SYN
	putIP(b.Prepend(ipLen(src)), src, dst, protoTCP, r.TOS, tcpQuoted)
	s.unreachable(b.Bytes(), hostUnreachable)
	b.Release()
}

// tcpQuoted is the length of a TCP header without options, bytes.
const tcpQuoted = 20
