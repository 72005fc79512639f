// SPDX-License-Identifier: BSD-3-Clause

// Package udpsock reads and writes UDP sockets of the kernel in batches of
// packet buffers. A socket on which nothing arrives holds no buffers.
//
// Start with New.
package udpsock

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
	"o7gw/proxy"
)

const (
	// batch is how many datagrams are moved with one system call.
	batch = 64
	// usual is the room for a datagram before a larger one has come, bytes.
	usual = 2048
	// largest is the room after that.
	largest = packet.MaxPayload
	// wide is how many datagrams of the largest size are read at once.
	wide = 8
)

// Socket is a UDP socket. One goroutine reads, one writes.
type Socket struct {
	*net.UDPConn
	raw       syscall.RawConn
	batches   batches
	connected bool

	room int // for a datagram, bytes
	in   []ipv4.Message
	bufs []*packet.Buffer
	got  []proxy.Datagram
	out  []ipv4.Message

	truncated atomic.Uint64
}

// batches is recvmmsg and sendmmsg, of either family.
type batches interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// New takes a socket. connected: it has one peer, and addresses do not matter.
func New(c *net.UDPConn, connected bool) (*Socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Socket{UDPConn: c, raw: raw, connected: connected, room: usual, batches: ipv4.NewPacketConn(c)}
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok && a.IP.To4() == nil {
		s.batches = ipv6.NewPacketConn(c)
	}
	return s, nil
}

// Truncated returns how many datagrams were lost because they were larger than
// any before.
func (s *Socket) Truncated() uint64 { return s.truncated.Load() }

// Read waits for datagrams and returns them; the caller owns the buffers, not
// the slice, which is valid until the next call. On a connected socket the
// addresses are not set. An error of ICMP, such as ECONNREFUSED, is returned
// once, and reading can go on.
func (s *Socket) Read() ([]proxy.Datagram, error) {
	if err := s.wait(); err != nil {
		return nil, err
	}
	count := batch
	if s.room > usual {
		count = wide
	}
	if cap(s.in) < batch {
		s.in = make([]ipv4.Message, batch)
		for i := range s.in {
			s.in[i].Buffers = make([][]byte, 1)
		}
		s.bufs = make([]*packet.Buffer, batch)
	}
	bufs := s.bufs[:count]
	packet.GetBatch(bufs, s.room)
	for i, b := range bufs {
		back, off := b.Backing()
		s.in[i].Buffers[0] = back[off : off+s.room]
	}
	n, err := s.batches.ReadBatch(s.in[:count], unix.MSG_DONTWAIT)
	if err != nil || n < 0 {
		n = 0
	}
	s.got = s.got[:0]
	for i := range n {
		m := &s.in[i]
		if m.Flags&unix.MSG_TRUNC != 0 {
			s.truncated.Add(1)
			s.room = largest
			continue
		}
		d := proxy.Datagram{Buf: bufs[i]}
		if !s.connected {
			a, ok := m.Addr.(*net.UDPAddr)
			if !ok {
				continue
			}
			ap := a.AddrPort()
			d.Addr = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
		}
		bufs[i].SetLen(m.N)
		bufs[i] = nil
		s.got = append(s.got, d)
	}
	for i := range bufs {
		s.in[i].Buffers[0], s.in[i].Addr = nil, nil
		if bufs[i] != nil {
			bufs[i].Release()
			bufs[i] = nil
		}
	}
	if err != nil && !errors.Is(err, syscall.EAGAIN) {
		return nil, err
	}
	return s.got, nil
}

// wait waits until there is something to read, and makes room for it.
func (s *Socket) wait() error {
	var failed error
	err := s.raw.Read(func(fd uintptr) bool {
		var none [1]byte
		n, _, e := unix.Recvfrom(int(fd), none[:], unix.MSG_PEEK|unix.MSG_TRUNC|unix.MSG_DONTWAIT)
		if e == unix.EAGAIN {
			return false
		}
		if e == nil && n > s.room {
			s.room = largest
		}
		failed = e
		return true
	})
	if err != nil {
		return err
	}
	if failed != nil && failed != unix.EINTR {
		return failed
	}
	return nil
}

// Write sends datagrams; it takes the buffers, not the slice. What the kernel
// refuses is lost; the last error is returned.
func (s *Socket) Write(d []proxy.Datagram) error {
	var last error
	for len(d) > 0 {
		n := min(len(d), batch)
		if err := s.write(d[:n]); err != nil {
			last = err
		}
		d = d[n:]
	}
	return last
}

func (s *Socket) write(d []proxy.Datagram) (last error) {
	if s.out == nil {
		s.out = make([]ipv4.Message, batch)
		for i := range s.out {
			s.out[i].Buffers = make([][]byte, 1)
		}
	}
	out := s.out[:len(d)]
	for i := range d {
		out[i].Buffers[0] = d[i].Buf.Bytes()
		if !s.connected {
			out[i].Addr = net.UDPAddrFromAddrPort(d[i].Addr)
		}
	}
	for left := out; len(left) > 0; {
		n, err := s.batches.WriteBatch(left, 0)
		if err != nil {
			last = err
			n = 1 // the first of them is what it refused
		}
		left = left[max(n, 1):]
	}
	for i := range d {
		out[i].Buffers[0], out[i].Addr = nil, nil
		d[i].Buf.Release()
	}
	return last
}
