// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package echo sends ICMP echo requests (RFC 792, RFC 4443 §4.1), for machines
// without ping and to find MTU black holes.
//
// Start with Ping. It needs CAP_NET_RAW, or a group in
// net.ipv4.ping_group_range.
package echo

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/gateway/ip"
)

// headerLen is the length of an ICMP echo header, bytes.
const headerLen = 8

// Ping sends one echo request of size bytes of payload that may not be
// fragmented, and returns the round-trip time. An answer that does not come
// within the deadline of ctx is os.ErrDeadlineExceeded; a request that the
// kernel knows to be too large is EMSGSIZE.
func Ping(ctx context.Context, to netip.Addr, size, seq int) (time.Duration, error) {
	s, err := open(to)
	if err != nil {
		return 0, fmt.Errorf("ping %v: %w", to, err)
	}
	defer s.conn.Close()
	if d, ok := ctx.Deadline(); ok {
		s.conn.SetDeadline(d)
	}
	stop := context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	id := uint16(os.Getpid())
	req := make([]byte, headerLen+size)
	req[0] = s.request
	binary.BigEndian.PutUint16(req[4:], id)
	binary.BigEndian.PutUint16(req[6:], uint16(seq))
	for i := range req[headerLen:] {
		req[headerLen+i] = byte(i)
	}
	binary.BigEndian.PutUint16(req[2:], checksum(req))
	start := time.Now()
	if _, err := s.conn.Write(req); err != nil {
		return 0, fmt.Errorf("ping %v: %w", to, err)
	}
	buf := make([]byte, len(req)+64)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			return 0, fmt.Errorf("ping %v: %w", to, err)
		}
		b := buf[:n]
		if len(b) < headerLen || b[0] != s.reply || binary.BigEndian.Uint16(b[6:]) != uint16(seq) {
			continue
		}
		// The kernel gives datagram sockets an identifier of their own.
		if s.raw && binary.BigEndian.Uint16(b[4:]) != id {
			continue
		}
		return time.Since(start), nil
	}
}

// socket is an ICMP socket connected to one address.
type socket struct {
	conn           conn
	raw            bool
	request, reply byte
}

func open(to netip.Addr) (socket, error) {
	s := socket{request: 8, reply: 0}
	family, proto, level, opt, do := unix.AF_INET, unix.IPPROTO_ICMP, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO
	var dst unix.Sockaddr
	if to.Is4() {
		dst = &unix.SockaddrInet4{Addr: to.As4()}
	} else {
		s.request, s.reply = 128, 129
		family, proto, level, opt, do = unix.AF_INET6, unix.IPPROTO_ICMPV6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO
		dst = &unix.SockaddrInet6{Addr: to.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		s.raw = true
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	}
	if err != nil {
		return s, fmt.Errorf("open ICMP socket: %w", err)
	}
	err = unix.SetsockoptInt(fd, level, opt, do)
	if err == nil {
		err = unix.Connect(fd, dst)
	}
	if err != nil {
		unix.Close(fd)
		return s, fmt.Errorf("connect ICMP socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "icmp")
	s.conn = conn{f, s.raw && to.Is4()}
	return s, nil
}

// conn is an ICMP socket; raw IPv4 sockets give the IP header too.
type conn struct {
	*os.File
	header bool
}

func (c conn) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	if err != nil || !c.header {
		return n, err
	}
	h := int(b[0]&15) * 4
	if n < h {
		return 0, nil
	}
	return copy(b, b[h:n]), nil
}

// checksum is the Internet checksum; the kernel computes that of ICMPv6.
func checksum(b []byte) uint16 { return ^ip.Fold(ip.Sum(b, 0)) }
