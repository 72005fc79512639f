// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"o7gw/netstack"
	"o7gw/o7s/packet"
)

// accepting gives accepted connections to the test.
func accepting(t testing.TB) (*world, chan *netstack.Conn) {
	conns := make(chan *netstack.Conn, 10000)
	w := begin(t, netstack.Config{TCP: func(r *netstack.TCPRequest) {
		if c, err := r.Accept(); err == nil {
			conns <- c
		}
	}})
	return w, conns
}

// pair connects a kernel client.
func pair(t testing.TB, conns chan *netstack.Conn, dst netip.Addr) (*net.TCPConn, *netstack.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", at(dst, 80))
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), <-conns
}

func TestConn(t *testing.T) {
	_, conns := accepting(t)
	both(t, func(t *testing.T, dst netip.Addr) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			c, s := pair(t, conns, dst)
			return c, s, func() {
				c.Close()
				s.Close()
			}, nil
		})
	})
}

// TestAddrs: each side sees the addresses of the other.
func TestAddrs(t *testing.T) {
	_, conns := accepting(t)
	both(t, func(t *testing.T, dst netip.Addr) {
		c, s := pair(t, conns, dst)
		defer c.Close()
		defer s.Close()
		if s.LocalAddr().String() != c.RemoteAddr().String() || s.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("%v -> %v, the client says %v -> %v", s.RemoteAddr(), s.LocalAddr(), c.LocalAddr(), c.RemoteAddr())
		}
	})
}

// TestHalfClose: each direction ends on its own, and what was written before
// arrives.
func TestHalfClose(t *testing.T) {
	w, conns := accepting(t)
	both(t, func(t *testing.T, dst netip.Addr) {
		for _, clientFirst := range []bool{true, false} {
			c, s := pair(t, conns, dst)
			type stream interface {
				net.Conn
				CloseWrite() error
			}
			var first, second stream = c, s
			if !clientFirst {
				first, second = s, c
			}
			for i, x := range []stream{first, second} {
				y := []stream{second, first}[i]
				if _, err := x.Write([]byte("last words")); err != nil {
					t.Fatal(err)
				}
				if err := x.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(y)
				if string(got) != "last words" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
				if _, err := x.Write([]byte("more")); !errors.Is(err, syscall.EPIPE) {
					t.Errorf("written after the finish: %v", err)
				}
			}
			c.Close()
			s.Close()
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read after close: %v", err)
			}
		}
	})
	if st := w.Stats(); st.Conns != 0 || st.Accepted != 4 {
		t.Errorf("%+v", st)
	}
}

// TestGigabyte: a gigabyte, half of it each way at the same time, arrives as it
// was sent.
func TestGigabyte(t *testing.T) {
	size := 1 << 29
	if testing.Short() || netstack.RaceEnabled {
		size >>= 5
	}
	_, conns := accepting(t)
	c, s := pair(t, conns, served4)
	defer c.Close()
	defer s.Close()
	block := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{7}).Read(block)
	table := crc32.MakeTable(crc32.Castagnoli)
	var sent, received [2]uint32
	var g sync.WaitGroup
	g.Go(func() { // the client writes in odd pieces
		for n := 0; n < size; {
			p := block[n%1000 : min(len(block), n%1000+size-n)]
			sent[0] = crc32.Update(sent[0], table, p)
			if _, err := c.Write(p); err != nil {
				t.Error(err)
				return
			}
			n += len(p)
		}
		c.CloseWrite()
	})
	g.Go(func() {
		buf := make([]byte, 1<<17)
		for {
			n, err := c.Read(buf)
			received[1] = crc32.Update(received[1], table, buf[:n])
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				return
			}
		}
	})
	g.Go(func() {
		var bufs [64]*packet.Buffer
		for {
			n, err := s.ReadBatch(bufs[:], 1400)
			for _, b := range bufs[:n] {
				received[0] = crc32.Update(received[0], table, b.Bytes())
			}
			packet.ReleaseBatch(bufs[:n])
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				return
			}
		}
	})
	g.Go(func() {
		var bufs [64]*packet.Buffer
		for n := 0; n < size; {
			k := 0
			for ; k < len(bufs) && n < size; k++ {
				p := block[n%5000:][:min(1399, size-n)]
				bufs[k] = packet.Get(len(p))
				bufs[k].Append(p)
				sent[1] = crc32.Update(sent[1], table, p)
				n += len(p)
			}
			if err := s.WriteBatch(bufs[:k]); err != nil {
				t.Error(err)
				return
			}
		}
		s.CloseWrite()
	})
	g.Wait()
	if sent != received {
		t.Errorf("sent %x, received %x", sent, received)
	}
}

// TestSlowReader: who takes nothing stops its own connection only, in both
// directions, and what waits for it is bounded.
func TestSlowReader(t *testing.T) {
	_, conns := accepting(t)
	const slow = 20
	big := make([]byte, 16<<20)
	var all []net.Conn
	var written [2]atomic.Int64
	var g sync.WaitGroup
	for range slow {
		c, s := pair(t, conns, served4)
		all = append(all, c, s)
		for i, x := range []net.Conn{c, s} {
			x.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			g.Go(func() {
				n, err := x.Write(big)
				written[i].Add(int64(n))
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("written to somebody who takes nothing: %d bytes, %v", n, err)
				}
			})
		}
	}
	c, s := pair(t, conns, served6)
	all = append(all, c, s)
	for range 100 {
		c.Write([]byte("ping"))
		var p [4]byte
		if _, err := io.ReadFull(s, p[:]); err != nil || !bytes.Equal(p[:], []byte("ping")) {
			t.Fatalf("%q, %v", p, err)
		}
	}
	g.Wait()
	// What the kernel's own buffers take comes on top.
	if n := written[1].Load() / slow; n > 12<<20 {
		t.Errorf("%d bytes wait for each client", n)
	}
	for _, x := range all {
		x.Close()
	}
}

// TestIdleMemory: an idle connection holds little.
func TestIdleMemory(t *testing.T) {
	conns := make(chan *netstack.Conn, 10000)
	w := begin(t, netstack.Config{TCP: func(r *netstack.TCPRequest) {
		c, err := r.Accept()
		if err != nil {
			return
		}
		conns <- c
		var bufs [64]*packet.Buffer
		for {
			n, err := c.ReadBatch(bufs[:], 1400)
			if err != nil {
				c.Close()
				return
			}
			if c.WriteBatch(bufs[:n]) != nil {
				return
			}
		}
	}})
	const count = 1000
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	begun := used()
	var clients []int // not net.Conn: only the stack's memory counts
	defer func() {
		for _, c := range clients {
			syscall.Close(c)
		}
	}()
	var p [1000]byte
	for range count {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, fd)
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: 80, Addr: served4.As4()}); err != nil {
			t.Fatal(err)
		}
		syscall.Write(fd, p[:]) // one request and response each
		for n := 0; n < len(p); {
			k, err := syscall.Read(fd, p[:])
			if err != nil || k == 0 {
				t.Fatal(k, err)
			}
			n += k
		}
	}
	each := (int64(used()) - int64(begun)) / count
	if st := w.Stats(); st.Conns != count {
		t.Errorf("%+v", st)
	}
	t.Logf("%d bytes per idle connection", each)
	if each > 20<<10 && !netstack.RaceEnabled {
		t.Errorf("%d bytes per idle connection", each)
	}
}

// TestBroken: a reset is no finish, whoever hears of it first, and not to be
// overheard by somebody who only waits.
func TestBroken(t *testing.T) {
	_, conns := accepting(t)
	both(t, func(t *testing.T, dst netip.Addr) {
		for _, writeFirst := range []bool{true, false} {
			c, s := pair(t, conns, dst)
			if s.Broken() != nil || !s.Drained() {
				t.Errorf("broken: %v, drained: %v", s.Broken(), s.Drained())
			}
			c.SetLinger(0)
			c.Close()
			for s.Broken() == nil {
				time.Sleep(time.Millisecond)
			}
			if _, err := s.Write([]byte("x")); writeFirst && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("write: %v", err)
			}
			for range 2 {
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read: %v", err)
				}
			}
			if err := s.Broken(); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			s.Close()
		}

		// An orderly end with unread bytes is not broken, nor is what is not
		// acknowledged drained.
		c, s := pair(t, conns, dst)
		c.SetReadBuffer(4096)
		s.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		s.Write(make([]byte, 16<<20))
		if s.Drained() {
			t.Error("drained, though nobody reads")
		}
		go io.Copy(io.Discard, c)
		for !s.Drained() {
			time.Sleep(time.Millisecond)
		}
		c.Write([]byte("unread"))
		c.CloseWrite()
		s.CloseWrite()
		got, err := io.ReadAll(s)
		if string(got) != "unread" || err != nil || s.Broken() != nil {
			t.Errorf("%q, %v, broken: %v", got, err, s.Broken())
		}
		c.Close()
		s.Close()
	})
}
