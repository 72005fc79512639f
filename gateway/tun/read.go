// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/gateway/ip"
	"o7gw/o7s/packet"
	"o7gw/o7s/poll"
)

// What the kernel hands over has a struct virtio_net_hdr in front (virtio 1.2,
// §5.1.6): the transport checksum may be left to us, and a packet may be many,
// to be split. The kernel is trusted in so far as it writes whole packets, not in
// what stands in them: others may have sent them.

// errPacket is a packet that cannot be read.
var errPacket = errors.New("malformed packet")

// readLen is the length of the longest message of the kernel, bytes.
const readLen = vnetLen + 65535

// next reads one message of the kernel, as a raw system call the first times
// after a wait: see package poll.
func (d *Device) next() ([]byte, error) {
	if d.rounds++; d.rounds == poll.WatchAfter {
		poll.Watch()
	}
	if d.busy || d.rounds >= poll.WatchAfter {
		n, err := unix.Read(d.fd, d.message)
		return d.message[:max(n, 0)], err
	}
	n, _, no := unix.RawSyscall(unix.SYS_READ, uintptr(d.fd), uintptr(unsafe.Pointer(&d.message[0])), uintptr(len(d.message)))
	if no != 0 {
		return nil, no
	}
	return d.message[:n], nil
}

// unpack makes packets of a message, in the buffers bufs, and returns how
// many.
func unpack(m []byte, bufs []*packet.Buffer) (int, error) {
	if len(m) <= vnetLen {
		return 0, errPacket
	}
	h, p := m[:vnetLen], m[vnetLen:]
	start, offset := int(binary.NativeEndian.Uint16(h[6:])), int(binary.NativeEndian.Uint16(h[8:]))
	if h[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 && start+offset+2 > len(p) {
		return 0, errPacket
	}
	if h[1] != unix.VIRTIO_NET_HDR_GSO_NONE {
		s := splitter{p: p, transport: start, size: int(binary.NativeEndian.Uint16(h[4:]))}
		if err := s.prepare(h[1]); err != nil {
			return 0, err
		}
		return s.split(bufs)
	}
	if h[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 {
		// The sum of the pseudo header is there already.
		c := ^ip.Fold(ip.Sum(p[start:], 0))
		if c == 0 {
			c = 0xffff // the same, but for UDP, where 0 is "no checksum" (RFC 768)
		}
		binary.BigEndian.PutUint16(p[start+offset:], c)
	}
	if err := put(bufs[0], p); err != nil {
		return 0, err
	}
	return 1, nil
}

// put replaces the content of a buffer.
func put(b *packet.Buffer, parts ...[]byte) error {
	b.SetLen(0)
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > b.Tailroom() {
		return fmt.Errorf("%w: %d bytes, room for %d", errPacket, n, b.Tailroom())
	}
	for _, p := range parts {
		b.Append(p)
	}
	return nil
}

// splitter takes a large segment apart.
type splitter struct {
	p         []byte
	transport int // where the transport header is
	headers   int // bytes of both headers
	size      int // payload of a packet, bytes
	sum       int // where the checksum is in the transport header
	v6        bool
	proto     uint8
}

const tcpFIN = 0x01

// prepare reads the headers.
func (s *splitter) prepare(kind byte) error {
	s.v6 = s.p[0]>>4 == 6
	length := ip.UDPLen
	switch {
	case kind == unix.VIRTIO_NET_HDR_GSO_UDP_L4:
		s.proto, s.sum = ip.UDP, 6
	case kind == unix.VIRTIO_NET_HDR_GSO_TCPV4 && !s.v6, kind == unix.VIRTIO_NET_HDR_GSO_TCPV6 && s.v6:
		s.proto, s.sum = ip.TCP, 16
		if len(s.p) < s.transport+ip.TCPLen {
			return errPacket
		}
		if length = int(s.p[s.transport+12]>>4) * 4; length < ip.TCPLen {
			return errPacket
		}
	default:
		return fmt.Errorf("%w: kind %d of segment", errPacket, kind)
	}
	least := ip.IPv4Len
	if s.v6 {
		least = ip.IPv6Len
	}
	s.headers = s.transport + length
	if !s.v6 && s.p[0]>>4 != 4 || s.transport < least || s.headers >= len(s.p) || s.size == 0 {
		return errPacket
	}
	return nil
}

// split makes the packets.
func (s *splitter) split(bufs []*packet.Buffer) (int, error) {
	rest := s.p[s.headers:]
	count := (len(rest) + s.size - 1) / s.size
	if count > len(bufs) {
		return 0, fmt.Errorf("%w: %d packets in one", errPacket, count)
	}
	// If the first one fits, all do.
	for i := range count {
		part := rest[:min(s.size, len(rest))]
		rest = rest[len(part):]
		if err := put(bufs[i], s.p[:s.headers], part); err != nil {
			return 0, err
		}
		s.header(bufs[i].Bytes(), i, len(rest) == 0)
	}
	return count, nil
}

// header makes the headers of packet i those of a packet of its own.
func (s *splitter) header(p []byte, i int, last bool) {
	t := p[s.transport:]
	if s.v6 {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ip.IPv6Len))
	} else {
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[4:], binary.BigEndian.Uint16(p[4:])+uint16(i))
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^ip.Fold(ip.Sum(p[:s.transport], 0)))
	}
	if s.proto == ip.TCP {
		binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(i*s.size))
		if !last {
			t[13] &^= tcpFIN | tcpPSH
		}
	} else {
		binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	}
	t[s.sum], t[s.sum+1] = 0, 0
	c := ^ip.Fold(ip.Sum(t, ip.PseudoSum(ip.Addrs(p), s.proto, len(t))))
	if c == 0 {
		c = 0xffff // as above
	}
	binary.BigEndian.PutUint16(t[s.sum:], c)
}
