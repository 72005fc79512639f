// SPDX-License-Identifier: BSD-3-Clause

package socks_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"o7gw/proxy/listen/listentest"
	"o7gw/proxy/socks"
)

// associate asks for an association and returns the TCP connection and a socket
// that is connected to the relay.
func associate(t testing.TB, s *socks.Server, request string) (control, relay net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", at(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "\x05\x01\x00"+request)
	got := make([]byte, 2+10)
	if _, err := io.ReadFull(c, got); err != nil || string(got[:6]) != "\x05\x00\x05\x00\x00\x01" {
		t.Fatalf("% x, %v", got, err)
	}
	bound := netip.AddrPortFrom(netip.AddrFrom4([4]byte(got[6:])), binary.BigEndian.Uint16(got[10:]))
	return c, dialUDP(t, netip.MustParseAddrPort("127.0.0.1:0"), bound)
}

func dialUDP(t testing.TB, from, to netip.AddrPort) net.Conn {
	t.Helper()
	u, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

const anyAddress = "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"

// asked is a datagram for a host name, or IPv4 address, and port.
func asked(host string, port uint16, data []byte) []byte {
	b := []byte{0, 0, 0}
	if a, err := netip.ParseAddr(host); err == nil {
		b = append(append(b, byte(1)), a.AsSlice()...)
	} else {
		b = append(append(b, 3, byte(len(host))), host...)
	}
	return append(binary.BigEndian.AppendUint16(b, port), data...)
}

// exchange sends a datagram until it comes back as it was.
func exchange(t testing.TB, u net.Conn, sent []byte) {
	t.Helper()
	exchanged(t, u, sent, sent)
}

// exchanged sends a datagram until want comes back.
func exchanged(t testing.TB, u net.Conn, sent, want []byte) {
	t.Helper()
	buf := make([]byte, 65536)
	for range 20 {
		if _, err := u.Write(sent); err != nil {
			t.Fatal(err)
		}
		u.SetReadDeadline(time.Now().Add(time.Second))
		n, err := u.Read(buf)
		if err != nil {
			continue
		}
		if !bytes.Equal(buf[:n], want) {
			t.Fatalf("%d bytes came back as %d: % x", len(sent), n, buf[:min(n, 40)])
		}
		return
	}
	t.Fatalf("no answer to % x", sent[:min(len(sent), 40)])
}

// silent wants no answer to a datagram, when another one after it has one.
func silent(t testing.TB, quiet, u net.Conn, sent, probe []byte) {
	t.Helper()
	if _, err := quiet.Write(sent); err != nil {
		t.Fatal(err)
	}
	exchange(t, u, probe) // the server takes them in order
	if quiet != u {
		quiet.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := quiet.Read(make([]byte, 1500)); err == nil {
			t.Fatalf("%d bytes in answer to % x", n, sent)
		}
	}
}

func TestAssociate(t *testing.T) {
	w, s := start(t, nil, nil)
	_, u := associate(t, s, anyAddress)
	port := w.Echo.Port()
	for range 2 {
		exchange(t, u, asked("web.o7s", 7, []byte("to a service")))
		exchange(t, u, asked("127.0.0.1", port, []byte("to an address beyond the exit")))
		exchanged(t, u, asked("localhost", port, []byte("to a host beyond the exit")),
			asked("127.0.0.1", port, []byte("to a host beyond the exit")))
		exchange(t, u, asked("WEB.o7s.", 7, []byte("a name written otherwise")))
	}
	for _, n := range []int{0, 1, 200, 1472, 9000, 60000} {
		exchange(t, u, asked("web.o7s", 7, bytes.Repeat([]byte{byte(n)}, n)))
	}
	probe := asked("web.o7s", 7, []byte("probe"))
	for _, bad := range [][]byte{
		{}, {0, 0}, {0, 0, 0}, {0, 0, 0, 9}, {0, 0, 0, 3, 200, 'x'}, {0, 0, 0, 1, 127, 0, 0, 1, 0, 0},
		append([]byte{0, 0, 1}, asked("web.o7s", 7, []byte("fragment"))[3:]...),
		asked("nobody.o7s", 7, []byte("x")), asked("web.o7s", 8, []byte("x")),
		asked("example.org", 7, []byte("x")), asked(listentest.Denied, port, []byte("x")),
	} {
		silent(t, u, u, bad, probe)
	}
	for _, e := range s.Book().Snapshot(100).Sessions {
		if e.Source == "" || e.Service == "" || e.Target == "" {
			t.Errorf("session without source, service or target: %+v", e)
		}
	}
}

// TestAssociateSource: datagrams of others are not relayed, from another
// address, another port, or a port other than the client has named.
func TestAssociateSource(t *testing.T) {
	_, s := start(t, nil, nil)
	_, u := associate(t, s, anyAddress)
	bound := u.RemoteAddr().(*net.UDPAddr).AddrPort()
	probe := asked("web.o7s", 7, []byte("probe"))
	stranger := dialUDP(t, netip.MustParseAddrPort("127.0.0.2:0"), bound)
	silent(t, stranger, u, probe, probe) // before the client has sent
	other := dialUDP(t, netip.MustParseAddrPort("127.0.0.1:0"), bound)
	silent(t, other, u, probe, probe)

	mine, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	from := mine.LocalAddr().(*net.UDPAddr).AddrPort()
	mine.Close()
	named := binary.BigEndian.AppendUint16(slices.Concat([]byte("\x05\x03\x00\x01"), from.Addr().AsSlice()), from.Port())
	_, u = associate(t, s, string(named))
	bound = u.RemoteAddr().(*net.UDPAddr).AddrPort()
	silent(t, u, dialUDP(t, from, bound), probe, probe)
}

// TestAssociateEnd: the association ends with its connection, and with the
// server.
func TestAssociateEnd(t *testing.T) {
	_, s := start(t, nil, nil)
	probe := asked("web.o7s", 7, []byte("probe"))
	ended := func(u net.Conn) {
		t.Helper()
		for range 1000 {
			u.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			u.Write(probe)
			if _, err := u.Read(make([]byte, 1500)); errors.Is(err, syscall.ECONNREFUSED) {
				return
			}
		}
		t.Fatal("the relay is still there")
	}
	c, u := associate(t, s, anyAddress)
	exchange(t, u, probe)
	if n := s.Book().Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	c.Close()
	ended(u)
	_, u = associate(t, s, anyAddress)
	exchange(t, u, probe)
	s.Close()
	ended(u)
	if n := s.Book().Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// TestAssociateMany: a client cannot have more than a number of flows.
func TestAssociateMany(t *testing.T) {
	_, s := start(t, nil, nil)
	_, u := associate(t, s, anyAddress)
	exchange(t, u, asked("web.o7s", 7, nil))
	for port := uint16(1000); port < 1400; port++ {
		u.Write(asked("web.o7s", port, []byte("x")))
	}
	exchange(t, u, asked("web.o7s", 7, nil))
	if got := s.Book().Snapshot(0); got.Refused+got.Failed == 0 {
		t.Errorf("nothing was refused: %+v", got)
	}
}
