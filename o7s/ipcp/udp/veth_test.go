// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// wire is two network namespaces joined by a veth pair. Side 0 has the
// addresses 10.7.0.1, fd07::1 and fe80::1, side 1 those with 2.
type wire struct {
	ns [2]netns.NsHandle
}

func newWire(t testing.TB, mtu int) *wire {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	w := &wire{}
	for i := range w.ns {
		apart(t, func() (err error) {
			w.ns[i], err = netns.New()
			return err
		})
		t.Cleanup(func() { w.ns[i].Close() })
	}
	var side [2]*netlink.Handle
	for i := range side {
		h, err := netlink.NewHandleAt(w.ns[i])
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		side[i] = h
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "v", mtu
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "v", PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(w.ns[1])}
	if err := side[0].LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	// IPv6 waits up to a second for a device that had no carrier when it was
	// set up, and as long for the kernel's own link-local address: so the
	// first device is set up again when the second is, and detection of
	// duplicate addresses is off.
	for _, i := range []int{0, 1, 0} {
		apart(t, func() error {
			if err := netns.Set(w.ns[i]); err != nil {
				return err
			}
			return os.WriteFile("/proc/sys/net/ipv6/conf/v/accept_dad", []byte("0"), 0)
		})
		l, err := side[i].LinkByName("v")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(side[i].LinkSetDown(l), side[i].LinkSetUp(l)); err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range side {
		l, err := h.LinkByName("v")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"10.7.0.0/24", "fd07::/64", "fe80::/64"} {
			_, n, err := net.ParseCIDR(p)
			if err != nil {
				t.Fatal(err)
			}
			n.IP[len(n.IP)-1] = byte(i + 1)
			if err := h.AddrAdd(l, &netlink.Addr{IPNet: n, Flags: unix.IFA_F_NODAD}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// apart runs fn on a thread of its own that ends afterwards.
func apart(t testing.TB, fn func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock
		done <- fn()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// start is start on one side of the wire.
func (w *wire) start(t testing.TB, side int, addr string, u layer.Upper, hosts map[string][]netip.Addr, change ...func(*ipcp.Config)) (p *IPCP) {
	t.Helper()
	apart(t, func() error {
		if err := netns.Set(w.ns[side]); err != nil {
			return err
		}
		p = start(t, addr, u, hosts, change...)
		return nil
	})
	return p
}

func TestVeth(t *testing.T) {
	w := newWire(t, 1500)
	for _, a := range [][2]string{{"10.7.0.1", "10.7.0.2"}, {"fd07::1", "fd07::2"}, {"fe80::1%v", "fe80::2%v"}} {
		t.Run(a[0], func(t *testing.T) {
			u, ports := acceptor(layer.CapTeardown)
			server := w.start(t, 1, a[1], u, nil)
			// The zone of the client's own address serves for others.
			to := netip.MustParseAddr(a[1]).WithZone("").String()
			client := w.start(t, 0, a[0], noUpper, serves(to))
			if want := map[bool]int{true: 1468, false: 1448}[client.Type() == ipcp.UDP4]; client.mtu != want {
				t.Errorf("MTU %d, want %d", client.mtu, want)
			}
			exchange(t, client, server, ports)
		})
	}
}

// Packets above the MTU of the path are fragmented, as those of C are, and do
// not end segmentation for others.
func TestVethFragments(t *testing.T) {
	w := newWire(t, 1500)
	u, ports := acceptor(0)
	server := w.start(t, 1, "10.7.0.2", u, nil)
	client := w.start(t, 0, "10.7.0.1", noUpper, serves("10.7.0.2"), func(c *ipcp.Config) { c.UDP.MTU = 9000 })
	a, b := connect(t, client, server, ports, qos.Raw)
	got := newSink(b)
	var pkts []*packet.Buffer
	for i := range 10 {
		pkts = append(pkts, buffers(checked(uint32(i), 8000))...)
	}
	a.Send(pkts)
	for i, p := range got.packets(t, 10) {
		if string(p) != string(checked(uint32(i), 8000)) {
			t.Errorf("packet %d differs", i)
		}
	}
	if s := client.Stats(); s.GSORefused != 1 || s.DropSendFail != 0 {
		t.Errorf("%+v", s)
	}
	if !client.sock.gso.Load() {
		t.Error("segmentation is off for everybody")
	}
}
