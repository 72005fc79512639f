// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"
)

// foreign is a UDP socket in the place of a C node, or of an attacker.
type foreign struct {
	t    testing.TB
	conn *net.UDPConn
	to   netip.AddrPort
}

// dial opens a foreign socket at addr (port 0: any) toward an IPC process.
func dial(t testing.TB, addr string, port uint16, to *IPCP) *foreign {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &foreign{t, c, netip.AddrPortFrom(to.self.addr(), to.self.port)}
}

func (f *foreign) send(parts ...[]byte) {
	f.t.Helper()
	if _, err := f.conn.WriteToUDPAddrPort(bytes.Join(parts, nil), f.to); err != nil {
		f.t.Fatal(err)
	}
}

func (f *foreign) recv() []byte {
	f.t.Helper()
	f.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 65536)
	n, from, err := f.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		f.t.Fatal(err)
	}
	if netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != f.to {
		f.t.Fatalf("datagram from %v, not %v", from, f.to)
	}
	return b[:n]
}

// silent fails if a datagram waits. The caller must have waited for a sign
// that the other side is done.
func (f *foreign) silent() {
	f.t.Helper()
	f.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	b := make([]byte, 65536)
	if n, from, err := f.conn.ReadFromUDPAddrPort(b); err == nil {
		f.t.Fatalf("unexpected datagram from %v: % x", from, b[:n])
	}
}

func eidBytes(eid uint32) []byte { return binary.BigEndian.AppendUint32(nil, eid) }
