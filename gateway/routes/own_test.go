// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// outside sends a UDP datagram of 8.8.8.8 to the machine, as if it came from
// beyond wan.
func outside(t *testing.T, port uint16) {
	t.Helper()
	wan, err := netlink.LinkByName("wan")
	if err != nil {
		t.Fatal(err)
	}
	far, err := netlink.LinkByName("wan-far")
	if err != nil {
		t.Fatal(err)
	}
	f := append([]byte(nil), wan.Attrs().HardwareAddr...)
	f = append(f, far.Attrs().HardwareAddr...)
	f = append(f, 8, 0)
	ip := []byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 8, 8, 8, 8, 192, 0, 2, 2}
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum&0xFFFF))
	f = append(f, ip...)
	f = append(f, 0, 9, byte(port>>8), byte(port), 0, 9, 0, 0, 'x')
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: far.Attrs().Index}); err != nil {
		t.Fatal(err)
	}
}

// sent returns how many packets went out by a device.
func sent(t *testing.T, device string) uint64 {
	t.Helper()
	link, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Statistics.TxPackets
}

// With a default route to the device, packets of the gateway's own socket, and
// their answers, take the machine's way, whatever strict reverse path filters
// say; those of others go to the device.
func TestOwnPacketsDoNotLoop(t *testing.T) {
	world(t)
	run(t, "sysctl -qw net.ipv4.conf.all.rp_filter=1")
	defer run(t, "sysctl -qw net.ipv4.conf.all.rp_filter=0")
	run(t, "ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev wan")
	run(t, "ip neigh add 8.8.8.8 lladdr 02:00:00:00:00:01 dev tun0")
	listen := func(port int) *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	own := listen(3435)
	a, err := Apply(t.TempDir(), Plan{Device: "tun0", Prefixes: prefixes("0.0.0.0/0")})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Remove()
	other := listen(3436) // after Apply: like any program's
	google := netip.MustParseAddrPort("8.8.8.8:9")
	for _, c := range []struct {
		what    string
		sock    *net.UDPConn
		device  string
		port    uint16
		answers bool
	}{
		{"own", own, "wan", 3435, true},
		{"other", other, "tun0", 3436, false}, // the filter knows 8.8.8.8 behind the device
	} {
		before := sent(t, c.device)
		for range 100 {
			if _, err := c.sock.WriteToUDPAddrPort([]byte("x"), google); err != nil {
				t.Fatal(err)
			}
		}
		if n := sent(t, c.device) - before; n < 100 {
			t.Errorf("%d of 100 packets of the %s socket went to %s", n, c.what, c.device)
		}
		outside(t, c.port)
		wait := 5 * time.Second
		if !c.answers {
			wait = 50 * time.Millisecond
		}
		c.sock.SetReadDeadline(time.Now().Add(wait))
		if _, from, err := c.sock.ReadFromUDPAddrPort(make([]byte, 10)); (err == nil && from == google) != c.answers {
			t.Errorf("answer to the %s socket: %v, %v", c.what, from, err)
		}
	}
}

func TestOwnSockets(t *testing.T) {
	before, err := ownSockets()
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Skip(err)
	}
	defer c.Close()
	connected, err := net.DialUDP("udp4", nil, c.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	now, err := ownSockets()
	if err != nil {
		t.Fatal(err)
	}
	if len(now) != len(before)+1 || !slices.Contains(now, c.LocalAddr().(*net.UDPAddr).AddrPort()) {
		t.Errorf("%v, were %v", now, before)
	}
}
