// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package udpsock

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/packet"
	"o7gw/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a socket at an address.
func open(t testing.TB, at string) *Socket {
	t.Helper()
	a := netip.MustParseAddrPort(at)
	network := "udp"
	if a.Addr().Is4() {
		network = "udp4"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(a))
	if err != nil {
		t.Skip(err)
	}
	c.SetReadBuffer(4 << 20)
	s, err := New(c, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func address(s *Socket) netip.AddrPort {
	a := s.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func datagram(to netip.AddrPort, data []byte) proxy.Datagram {
	b := packet.Get(len(data))
	b.Append(data)
	return proxy.Datagram{Addr: to, Buf: b}
}

// collect reads n datagrams.
func collect(t testing.TB, s *Socket, n int) (got [][]byte, from []netip.AddrPort) {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	for len(got) < n {
		d, err := s.Read()
		if err != nil {
			t.Fatalf("%d of %d: %v", len(got), n, err)
		}
		for i := range d {
			got = append(got, bytes.Clone(d[i].Buf.Bytes()))
			from = append(from, d[i].Addr)
			d[i].Buf.Release()
		}
	}
	return got, from
}

// TestSizes: datagrams of all sizes, mixed, in both families, arrive whole and
// in order.
func TestSizes(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, b := open(t, at), open(t, at)
		var sent []proxy.Datagram
		var want [][]byte
		for i, n := range []int{0, 1, 200, 1791, 1792, 1793, 1472, 9000, 65507, 3, 20000, 20001, 0, 5} {
			data := bytes.Repeat([]byte{byte(i + 1)}, n)
			want = append(want, data)
			sent = append(sent, datagram(address(b), data))
		}
		for range 40 {
			want = append(want, []byte("many"))
			sent = append(sent, datagram(address(b), []byte("many")))
		}
		if err := a.Write(sent); err != nil {
			t.Fatal(err)
		}
		got, from := collect(t, b, len(want))
		for i := range got {
			if !bytes.Equal(got[i], want[i]) || from[i] != address(a) {
				t.Fatalf("%s, datagram %d: %d bytes of %d, from %v", at, i, len(got[i]), len(want[i]), from[i])
			}
		}
	}
}

// TestDual: a socket of IPv6 reaches IPv4, and knows its addresses as such.
func TestDual(t *testing.T) {
	dual, four := open(t, "[::]:0"), open(t, "127.0.0.1:0")
	if err := dual.Write([]proxy.Datagram{datagram(address(four), []byte("to four"))}); err != nil {
		t.Fatal(err)
	}
	_, from := collect(t, four, 1)
	if !from[0].Addr().Is4() {
		t.Fatal(from)
	}
	if err := four.Write([]proxy.Datagram{datagram(from[0], []byte("back"))}); err != nil {
		t.Fatal(err)
	}
	if _, from = collect(t, dual, 1); from[0] != address(four) {
		t.Errorf("from %v", from[0])
	}
	six := netip.MustParseAddrPort("[::1]:9")
	if err := four.Write([]proxy.Datagram{datagram(six, nil), datagram(address(four), []byte("x"))}); err == nil || four.Dropped() != 1 {
		t.Errorf("IPv4 took an address of IPv6: %v, %d dropped", err, four.Dropped())
	}
	collect(t, four, 1)
}

// TestLocal: an answer comes from the address that was asked.
func TestLocal(t *testing.T) {
	for _, at := range []string{"0.0.0.0:0", "[::]:0"} {
		s := open(t, at)
		if err := s.TellLocal(); err != nil {
			t.Fatal(err)
		}
		asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.5"), address(s).Port())
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(asked))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write([]byte("question"))
		d, err := s.Read()
		if err != nil || len(d) != 1 || s.Local(0) != asked.Addr() {
			t.Fatalf("%v at %v, %v", d, s.Local(0), err)
		}
		if err := s.WriteFrom(s.Local(0), d); err != nil {
			t.Fatal(err)
		}
		// c is connected: it takes datagrams of no other address.
		buf := make([]byte, 100)
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "question" {
			t.Fatalf("%s: %q, %v", at, buf[:n], err)
		}
	}
}

// TestRefused: what ICMP says of one datagram does not swallow the next.
func TestRefused(t *testing.T) {
	peer := open(t, "127.0.0.1:0")
	at := address(peer)
	peer.Close()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Write([]proxy.Datagram{datagram(netip.AddrPort{}, []byte("lost"))})
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := s.Read(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
	s.Write([]proxy.Datagram{datagram(netip.AddrPort{}, []byte("lost"))})
	peer = open(t, at.String())
	if err := s.Write([]proxy.Datagram{datagram(netip.AddrPort{}, []byte("found"))}); err != nil {
		t.Fatal(err)
	}
	if got, _ := collect(t, peer, 1); string(got[0]) != "found" {
		t.Fatalf("%q", got)
	}
}

// TestClosed: a Read that waits ends.
func TestClosed(t *testing.T) {
	s := open(t, "127.0.0.1:0")
	done := make(chan error)
	go func() {
		_, err := s.Read()
		done <- err
	}()
	s.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := s.Write([]proxy.Datagram{datagram(address(open(t, "127.0.0.1:0")), nil)}); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestNoAllocation(t *testing.T) {
	a, b := open(t, "127.0.0.1:0"), open(t, "127.0.0.1:0")
	to, data := address(b), make([]byte, 200)
	var d [slots]proxy.Datagram
	n := testing.AllocsPerRun(200, func() {
		for i := range d {
			d[i] = datagram(to, data)
		}
		a.Write(d[:])
		for left := len(d); left > 0; {
			got, err := b.Read()
			if err != nil {
				t.Fatal(err)
			}
			left -= len(got)
			for i := range got {
				got[i].Buf.Release()
			}
		}
	})
	// Some closures per system call; under the race detector pools forget.
	if n > slots/2 {
		t.Errorf("%v allocations for %d datagrams", n, slots)
	}
}

// BenchmarkSocket: datagrams of 200 bytes from socket to socket over the
// loopback interface.
func BenchmarkSocket(b *testing.B) {
	from, to := open(b, "127.0.0.1:0"), open(b, "127.0.0.1:0")
	at, data := address(to), make([]byte, 200)
	var d [slots]proxy.Datagram
	b.ReportAllocs()
	for sent := 0; sent < b.N; sent += len(d) {
		for i := range d {
			d[i] = datagram(at, data)
		}
		from.Write(d[:])
		for left := len(d); left > 0; {
			got, err := to.Read()
			if err != nil {
				b.Fatal(err)
			}
			left -= len(got)
			for i := range got {
				got[i].Buf.Release()
			}
		}
	}
}

// FuzzMessage: addresses and control messages that a kernel would not write.
func FuzzMessage(f *testing.F) {
	var v4, v6 sockaddr
	v4.put(netip.MustParseAddrPort("1.2.3.4:5"), false)
	v6.put(netip.MustParseAddrPort("[1::2]:5"), true)
	f.Add(v4[:], uint32(16), 0)
	f.Add(v6[:], uint32(28), 40)
	f.Fuzz(func(t *testing.T, p []byte, n uint32, m int) {
		var s sockaddr
		copy(s[:], p)
		if a, ok := s.addrPort(n); ok {
			var back sockaddr
			if size := back.put(a, true); size == 0 {
				t.Fatalf("%v has no form", a)
			}
			if b, ok := back.addrPort(uint32(len(back))); !ok || a != b {
				t.Fatalf("%v became %v", a, b)
			}
		}
		var c control
		copy(c.data[:], p)
		if a := c.local(m); a.IsValid() && !a.IsMulticast() {
			six := a.Is6()
			var back control
			size := back.put(a, six)
			if b := back.local(size); six && b != a {
				t.Fatalf("%v became %v", a, b)
			}
		}
	})
}
