// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

// tcpPair returns two joined kernel sockets.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		d.Close()
	})
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

// closedState waits until the kernel has done with a connection.
func closedState(t *testing.T, s *kernelStream) {
	t.Helper()
	for state := uint8(0); state != unix.BPF_TCP_CLOSE; {
		if err := s.raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			state = info.State
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKernelBroken: a reset is seen without reading; an orderly end is none,
// though there are unread bytes.
func TestKernelBroken(t *testing.T) {
	a, b := tcpPair(t)
	s := batched(a).(*kernelStream)
	if err := s.broken(); err != nil {
		t.Fatal("open:", err)
	}
	b.Write([]byte("unread"))
	b.SetLinger(0)
	b.Close()
	closedState(t, s)
	if err := s.broken(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}

	a, b = tcpPair(t)
	s = batched(a).(*kernelStream)
	a.CloseWrite()
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	b.Write([]byte("unread"))
	b.Close()
	closedState(t, s)
	if err := s.broken(); err != nil {
		t.Errorf("after an orderly end: %v", err)
	}
	if got, err := io.ReadAll(a); string(got) != "unread" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestKernelBatches: bytes go through packets of any sizes unaltered, in both
// directions, and nothing is left out when the socket is full.
func TestKernelBatches(t *testing.T) {
	a, b := tcpPair(t)
	in, out := batched(a).(*kernelStream), batched(b).(*kernelStream)
	const total = 8 << 20
	sent := make([]byte, total)
	for i := range sent {
		sent[i] = byte(i >> 3 * 7)
	}
	go func() {
		for p, size := sent, 1; len(p) > 0; size = size*3%1777 + 1 {
			var batch []*packet.Buffer
			for len(batch) < 50 && len(p) > 0 {
				n := min(size, len(p))
				buf := packet.Get(n)
				buf.Append(p[:n])
				batch, p = append(batch, buf), p[n:]
			}
			if err := out.WriteBatch(batch); err != nil {
				t.Error(err)
			}
		}
		out.CloseWrite()
	}()
	var got []byte
	var bufs [64]*packet.Buffer
	for {
		n, err := in.ReadBatch(bufs[:], 1466)
		if err == io.EOF {
			break
		}
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		for i, p := range bufs[:n] {
			if p.Len() > 1466 || p.Len() < 1466 && i < n-1 {
				t.Fatalf("packet %d of %d has %d bytes", i, n, p.Len())
			}
			got = append(got, p.Bytes()...)
		}
		packet.ReleaseBatch(bufs[:n])
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, or others than the %d sent", len(got), len(sent))
	}
	for !out.drained() { // acknowledged by now, or soon
	}
}

// TestKernelIdle: a reader that waits holds no buffers, and what it does once it is
// woken costs no memory.
func TestKernelIdle(t *testing.T) {
	a, b := tcpPair(t)
	in := batched(a).(*kernelStream)
	var bufs [64]*packet.Buffer
	one := []byte{1}
	if n := testing.AllocsPerRun(100, func() {
		b.Write(one)
		n, err := in.ReadBatch(bufs[:], 1466)
		if n != 1 || err != nil {
			t.Fatal(n, err)
		}
		packet.ReleaseBatch(bufs[:n])
	}); n > 0 {
		t.Errorf("%v allocations for a read", n)
	}
}

func TestAdvance(t *testing.T) {
	data := []byte("abcdefgh")
	for n := range len(data) + 1 {
		iov := []unix.Iovec{{Base: &data[0], Len: 3}, {Base: &data[3], Len: 1}, {Base: &data[4], Len: 4}}
		var left []byte
		for _, v := range advance(iov, n) {
			left = append(left, unsafeBytes(v)...)
		}
		if want := string(data[n:]); string(left) != want {
			t.Errorf("%d bytes on: %q, want %q", n, left, want)
		}
	}
}

func unsafeBytes(v unix.Iovec) []byte { return unsafe.Slice(v.Base, v.Len) }
