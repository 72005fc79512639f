// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package segment

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func quick(cfg Config) Config {
	cfg.ReconnectMin, cfg.ReconnectMax = 10*time.Millisecond, 100*time.Millisecond
	return cfg
}

func hub(i int) Config {
	c := quick(Defaults())
	c.Name, c.Listen = "hub", []string{fmt.Sprint("lan", i)}
	return c
}

func spoke(to ...int) Config {
	c := quick(Defaults())
	c.Name = "spoke"
	for _, i := range to {
		c.Connect = append(c.Connect, fmt.Sprint("lan", i))
	}
	return c
}

// star is a hub and two spokes, over paths that carry IP packets of 1500
// bytes: full frames come in fragments.
func star(t testing.TB, mtu int) []*computer {
	t.Helper()
	needRoot(t)
	c := newCluster(t, 3, mtu)
	all := []*computer{c.computer(t, 0, hub(0)), c.computer(t, 1, spoke(0)), c.computer(t, 2, spoke(0))}
	all[0].flows(t, 2)
	all[1].flows(t, 1)
	all[2].flows(t, 1)
	return all
}

// ARP and neighbour discovery find everybody, with packets of all sizes.
func TestPing(t *testing.T) {
	all := star(t, 1500)
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			for _, size := range []int{8, 1400, 1472} {
				from.ping(t, to.v4, size)
			}
			from.ping(t, to.v6, 8)
			from.ping(t, to.v6, 1452)
		}
	}
	st := all[0].Status()
	if st.MACs != 3 || len(st.Stations) != 3 || st.Local.MACs != 1 || len(st.Ports) != 2 || st.RxFrames == 0 || st.TxBytes == 0 {
		t.Errorf("%+v", st)
	}
	for _, p := range st.Ports {
		if p.MACs != 1 || p.RxFrames == 0 || p.Malformed+p.Incomplete+p.TxDropped > 0 {
			t.Errorf("%+v", p)
		}
	}
}

// What finds services and addresses reaches all: multicast as mDNS, broadcast as
// DHCP and games.
func TestDiscovery(t *testing.T) {
	all := star(t, 1500)
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	group6 := &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
	everybody := &net.UDPAddr{IP: net.IPv4(255, 255, 255, 255), Port: 67}
	type ears struct{ mdns, mdns6, dhcp *net.UDPConn }
	var listening []ears
	for _, m := range all[:2] {
		multi := func(network string, g *net.UDPAddr) *net.UDPConn {
			return m.listen(t, func() (*net.UDPConn, error) {
				ifi, err := net.InterfaceByName(m.name)
				if err != nil {
					return nil, err
				}
				return net.ListenMulticastUDP(network, ifi, g)
			})
		}
		listening = append(listening, ears{
			multi("udp4", group), multi("udp6", group6),
			m.listen(t, func() (*net.UDPConn, error) { return net.ListenUDP("udp4", &net.UDPAddr{Port: 67}) }),
		})
	}
	from := all[2]
	say := from.listen(t, func() (*net.UDPConn, error) { return net.ListenUDP("udp4", nil) })
	// A host that asks for an address has none.
	from.run(t, "ip addr del 10.9.0.3/24 dev "+from.name)
	from.run(t, "ip route add default dev "+from.name)
	raw, err := say.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1) })
	}
	if err != nil {
		t.Fatal(err)
	}
	say6 := from.listen(t, func() (*net.UDPConn, error) { return net.ListenUDP("udp6", nil) })
	ifi := 0
	from.in(t, func() {
		if i, err := net.InterfaceByName(from.name); err == nil {
			ifi = i.Index
		}
	})
	group6.Zone = fmt.Sprint(ifi)
	waitFor(t, func() bool { // once duplicate address detection is through
		_, err := say6.WriteTo([]byte("ready"), group6)
		return err == nil
	}, func() string { return "no IPv6" })
	for _, m := range []struct {
		c    *net.UDPConn
		to   *net.UDPAddr
		what string
	}{{say, group, "mdns"}, {say6, group6, "mdns6"}, {say, everybody, "dhcp"}} {
		for range 10 {
			if _, err := m.c.WriteTo([]byte(m.what+strings.Repeat(" service", 150)), m.to); err != nil {
				t.Fatalf("%s: %v", m.what, err)
			}
		}
	}
	for i, l := range listening {
		for what, c := range map[string]*net.UDPConn{"mdns ": l.mdns, "mdns6": l.mdns6, "dhcp": l.dhcp} {
			if n := receive(c, what, 10, 10*time.Second); n != 10 {
				t.Errorf("host %d got %d of 10 for %s", i, n, what)
			}
		}
	}
}

// Three members in a circle that all relay: each datagram comes once, the network
// is silent afterwards.
func TestCircle(t *testing.T) {
	needRoot(t)
	c := newCluster(t, 3, 1500)
	c.dad = true // the questions of a host must not come back to it
	var all []*computer
	for i := range 3 {
		cfg := hub(i)
		cfg.Connect = []string{fmt.Sprint("lan", (i+1)%3)}
		all = append(all, c.computer(t, i, cfg))
	}
	for _, m := range all {
		m.flows(t, 2)
	}
	for _, from := range all {
		for _, to := range all {
			if from != to {
				from.ping(t, to.v4, 1472)
				from.ping(t, to.v6, 1452)
			}
		}
	}
	to := &net.UDPAddr{IP: net.IPv4(10, 9, 0, 255), Port: 4000}
	var ears []*net.UDPConn
	for _, m := range all[1:] {
		ears = append(ears, m.listen(t, func() (*net.UDPConn, error) { return net.ListenUDP("udp4", &net.UDPAddr{Port: 4000}) }))
	}
	say := all[0].listen(t, func() (*net.UDPConn, error) { return net.ListenUDP("udp4", nil) })
	for i := range 200 {
		if _, err := say.WriteTo(fmt.Appendf(nil, "game %d", i), to); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range ears {
		if n := receive(e, "game", 200, 10*time.Second); n != 200 {
			t.Errorf("host %d got %d", i+1, n)
		}
		if n := receive(e, "game", 1, 50*time.Millisecond); n != 0 {
			t.Errorf("host %d got one twice", i+1)
		}
	}
	sent := func() (n uint64) {
		for _, m := range all {
			n += m.Status().TxFrames
		}
		return n
	}
	// Each frame goes over each of the three flows twice at most; beside those
	// of the game there were pings, and what hosts say when they come up.
	if n := sent(); n > 200*6+1000 {
		t.Errorf("%d frames for 200 broadcasts", n)
	}
	before := sent()
	time.Sleep(200 * time.Millisecond)
	if n := sent() - before; n > 100 {
		t.Errorf("%d frames in 0.2 s of silence", n)
	}
}

// raw opens a socket for whole frames on a computer.
func (m *computer) raw(t testing.TB) (fd int) {
	t.Helper()
	m.in(t, func() {
		const proto = 0xB588 // 0x88B5 in network order
		var err error
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto); err != nil {
			t.Fatal(err)
		}
		link, err := netlink.LinkByName(m.name)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link.Attrs().Index})
		}
		if err == nil { // what is sent to others too
			err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(link.Attrs().Index), Type: unix.PACKET_MR_PROMISC})
		}
		if err == nil {
			err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// A machine behind one member moves behind another, as when a virtual machine
// migrates, and frames follow it.
func TestMachineMoves(t *testing.T) {
	all := star(t, 1500)
	var socks []int
	for _, m := range all {
		socks = append(socks, m.raw(t))
	}
	guest := host(42)
	where := func() int {
		for _, s := range all[0].Status().Stations {
			if s.MAC == station(0x02_00_00_00_00_2a<<vlanBits).String() {
				return s.Flow
			}
		}
		return -1
	}
	was := -1
	for round, place := range []int{1, 2, 1} {
		if _, err := unix.Write(socks[place], frame(everybody, guest, 60, byte(round))); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return where() > 0 && where() != was }, func() string { return fmt.Sprintf("round %d: %+v", round, all[0].Status().Stations) })
		was = where()
		want := frame(guest, host(1), 200, byte(100+round))
		if _, err := unix.Write(socks[0], want); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2000)
		for {
			n, err := unix.Read(socks[place], buf)
			if err != nil {
				t.Fatalf("round %d: the frame did not arrive: %v", round, err)
			}
			if slices.Equal(buf[:n], want) {
				break
			}
		}
	}
	if n := all[0].Status().Moves; n != 2 {
		t.Errorf("%d moves", n)
	}
}

// A broadcast layer alone is a LAN, and with flows frames to one machine do
// not bother the others.
func TestBroadcastLayer(t *testing.T) {
	needRoot(t)
	c := newCluster(t, 3, 0)
	c.broadcast(t)
	var all []*computer
	for i := range 3 {
		cfg := quick(Defaults())
		cfg.Layer, cfg.Relay = "bc", false
		if i == 0 {
			cfg.Listen = []string{"lan0"}
		} else if i == 1 {
			cfg.Connect = []string{"lan0"}
		}
		all = append(all, c.computer(t, i, cfg))
	}
	for i, n := range []int{2, 2, 1} {
		all[i].flows(t, n)
	}
	for _, from := range all {
		for _, to := range all {
			if from != to {
				from.ping(t, to.v4, 1472)
				from.ping(t, to.v6, 1452)
			}
		}
	}
	byLayer := func() (n uint64) {
		for _, p := range all[2].Status().Ports {
			n += p.RxBytes
		}
		return n
	}
	before := byLayer()
	transfer(t, all[0], all[1], 4<<20)
	if n := byLayer() - before; n > 1<<20 {
		t.Errorf("the third got %d bytes of what two had to say to each other", n)
	}
	before = byLayer()
	transfer(t, all[0], all[2], 1<<20)
	if n := byLayer() - before; n < 1<<20 {
		t.Errorf("the third got %d bytes", n)
	}
}

// Members on one node: their flows do not leave the process, and what one sends
// may come back before it has finished sending.
func TestSameNode(t *testing.T) {
	needRoot(t)
	c := newCluster(t, 1, 0)
	var all []*computer
	for i := range 3 {
		cfg := hub(i)
		cfg.Connect = []string{fmt.Sprint("lan", (i+1)%3)}
		all = append(all, c.computer(t, 0, cfg))
		all[i].run(t, fmt.Sprintf("ip addr add 10.9.1.%d/24 dev %s", i+1, all[i].name))
	}
	for _, m := range all {
		m.flows(t, 2)
	}
	for i, m := range all {
		m.ping(t, netip.AddrFrom4([4]byte{10, 9, 1, byte((i+1)%3 + 1)}), 1472)
	}
}

// A hub that is started again finds its members again.
func TestReconnect(t *testing.T) {
	needRoot(t)
	c := newCluster(t, 2, 1500)
	h, s := c.computer(t, 0, hub(0)), c.computer(t, 1, spoke(0))
	s.flows(t, 1)
	s.ping(t, h.v4, 1472)
	h.Close()
	waitFor(t, func() bool { return len(s.Status().Ports) == 0 && s.Status().MACs <= 1 }, func() string { return fmt.Sprintf("%+v", s.Status()) })
	waitFor(t, func() bool { st := s.Status(); return st.Failures > 0 && st.LastError != "" }, func() string { return fmt.Sprintf("%+v", s.Status()) })
	h = c.computer(t, 0, hub(0))
	h.flows(t, 1)
	h.ping(t, s.v4, 1472)
	waitFor(t, func() bool { return s.Status().LastError == "" }, func() string { return fmt.Sprintf("%+v", s.Status()) })
}

// BenchmarkTCP is one TCP connection between two members: with frames that fit
// a packet of the flow, with frames that are split, and with large ones.
func BenchmarkTCP(b *testing.B) {
	for name, c := range map[string]struct{ path, mtu int }{"whole": {0, 1500}, "split": {1500, 1500}, "jumbo": {0, 9000}} {
		b.Run(name, func(b *testing.B) {
			needRoot(b)
			nodes := newCluster(b, 2, c.path)
			one, two := hub(0), spoke(0)
			one.MTU, two.MTU = c.mtu, c.mtu
			h, s := nodes.computer(b, 0, one), nodes.computer(b, 1, two)
			s.flows(b, 1)
			s.ping(b, h.v4, 8)
			b.SetBytes(1 << 20)
			b.ResetTimer()
			transfer(b, s, h, int64(b.N)<<20)
		})
	}
}
