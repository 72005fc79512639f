// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// wire is two network namespaces joined by a veth pair, whose ends are both
// called v.
type wire struct {
	ns   [2]netns.NsHandle
	side [2]*netlink.Handle
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
		h, err := netlink.NewHandleAt(w.ns[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		w.side[i] = h
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "v", mtu
	must(t, w.side[0].LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "v", PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(w.ns[1])}))
	for i := range w.side {
		w.set(t, i, "v", true)
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// set sets a device up or down.
func (w *wire) set(t testing.TB, side int, name string, up bool) {
	t.Helper()
	l, err := w.side[side].LinkByName(name)
	must(t, err)
	if up {
		must(t, w.side[side].LinkSetUp(l))
	} else {
		must(t, w.side[side].LinkSetDown(l))
	}
}

// apart runs fn on a thread of its own that ends afterwards.
func apart(t testing.TB, fn func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock
		done <- fn()
	}()
	must(t, <-done)
}

// at runs fn in the namespace of one side.
func (w *wire) at(t testing.TB, side int, fn func() error) {
	t.Helper()
	apart(t, func() error { return errors.Join(netns.Set(w.ns[side]), fn()) })
}

// try bootstraps an IPC process on device v of one side.
func (w *wire) try(t testing.TB, side int, typ ipcp.Type, u layer.Upper, change ...func(*ipcp.Config)) (*IPCP, error) {
	t.Helper()
	x, err := New(typ, ipcp.Env{Name: "e", Upper: u, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	cfg := ipcp.Config{Type: typ, Layer: "test", Hash: layer.SHA3_256, Eth: ipcp.EthConfig{Device: "v"}}
	for _, c := range change {
		c(&cfg)
	}
	w.at(t, side, func() error {
		err = x.Bootstrap(context.Background(), cfg)
		return nil
	})
	p := x.(*IPCP)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, err
}

// start is try for what must succeed.
func (w *wire) start(t testing.TB, side int, typ ipcp.Type, u layer.Upper, change ...func(*ipcp.Config)) *IPCP {
	t.Helper()
	p, err := w.try(t, side, typ, u, change...)
	must(t, err)
	// Bootstrap may come before the kernel has told of the carrier.
	eventually(t, "carrier", p.linked.Load)
	return p
}

// pair starts a client on side 0 and a server that accepts on side 1.
func (w *wire) pair(t testing.TB, typ ipcp.Type, caps layer.Caps, change ...func(*ipcp.Config)) (client, server *IPCP, ports chan layer.Port) {
	t.Helper()
	u, ports := acceptor(caps)
	server = w.start(t, 1, typ, u, change...)
	return w.start(t, 0, typ, noUpper, change...), server, ports
}

func exchange(t *testing.T, client, server *IPCP, ports chan layer.Port) {
	t.Helper()
	a, b := connect(t, client, server, ports, qos.Raw)
	sa, sb := newSink(a), newSink(b)
	big := checked(3, a.MTU())
	a.Send(buffers([]byte("one"), nil, big)) // the empty one is a keepalive
	b.Send(buffers([]byte("back")))
	if got := sb.packets(t, 3); string(got[0]) != "one" || len(got[1]) != 0 || !bytes.Equal(got[2], big) {
		t.Fatalf("got %q", got)
	}
	if got := sa.packets(t, 1); string(got[0]) != "back" {
		t.Fatalf("got %q", got)
	}
	if err := errors.Join(a.Close(), b.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if c, s := client.Stats(), server.Stats(); c.Flows+s.Flows != 0 || c.KernelDrops+s.KernelDrops != 0 {
		t.Fatalf("flows left: %+v %+v", c, s)
	}
}

func TestExchange(t *testing.T) {
	for _, c := range []struct {
		name      string
		typ       ipcp.Type
		wire, mtu int
	}{
		{"dix", ipcp.EthDIX, 1500, 1496}, {"llc", ipcp.EthLLC, 1500, 1497},
		{"dix, jumbo frames", ipcp.EthDIX, 9000, 8996}, {"llc, jumbo frames", ipcp.EthLLC, 9000, 1497},
		{"dix, largest frames", ipcp.EthDIX, 65535, 65531}, {"dix, small frames", ipcp.EthDIX, 128, 124},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, c.wire)
			client, server, ports := w.pair(t, c.typ, layer.CapTeardown)
			if want := (ipcp.Info{Layer: "test", Hash: layer.SHA3_256, MTU: c.mtu, MPL: 100 * time.Millisecond, Uncontrolled: true}); client.Info() != want {
				t.Errorf("%+v, want %+v", client.Info(), want)
			}
			exchange(t, client, server, ports)
			exchange(t, client, server, ports)
			if s := client.Stats(); s.Queries != 1 { // the answer is kept
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestHashes(t *testing.T) {
	w := newWire(t, 1500)
	for _, h := range []layer.HashAlgo{layer.SHA3_224, layer.SHA3_384, layer.SHA3_512} {
		use := func(c *ipcp.Config) { c.Hash = h }
		u, _ := acceptor(0)
		server := w.start(t, 1, ipcp.EthDIX, u, use)
		client := w.start(t, 0, ipcp.EthDIX, noUpper, use)
		name := h.Sum("op")
		must(t, server.Register(t.Context(), name))
		if _, _, err := client.Allocate(within(t, 5*time.Second), name, qos.Raw, []byte("hello")); err != nil {
			t.Errorf("%v: %v", h, err)
		}
		client.Close()
		server.Close()
	}
}

// A virtual LAN is a layer of its own, also for the device beneath it.
func TestVLAN(t *testing.T) {
	w := newWire(t, 1500)
	for i, h := range w.side {
		l, err := h.LinkByName("v")
		must(t, err)
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex = "v.7", l.Attrs().Index
		if err := h.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: 7, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}); err != nil {
			t.Skipf("this kernel has no VLAN devices: %v", err)
		}
		w.set(t, i, "v.7", true)
	}
	vlan := func(c *ipcp.Config) { c.Eth.Device = "v.7" }
	for _, typ := range []ipcp.Type{ipcp.EthDIX, ipcp.EthLLC} {
		client, server, ports := w.pair(t, typ, layer.CapTeardown, vlan)
		other := w.start(t, 1, typ, noUpper)
		must(t, other.Register(t.Context(), op))
		exchange(t, client, server, ports)
		other.names.Remove(op)
		other.names.Add(layer.SHA3_256.Sum("beneath"))
		if err := client.Query(within(t, 50*time.Millisecond), layer.SHA3_256.Sum("beneath")); !errors.Is(err, layer.ErrNoName) {
			t.Errorf("%v: a name of the device beneath: %v", typ, err)
		}
		if n := len(client.dir.lookup(op, time.Now())); n != 1 {
			t.Errorf("%v: %d devices serve the name", typ, n)
		}
	}
}

// A tagged frame of a virtual LAN that has no device is not taken for one of
// ours.
func TestForeignVLAN(t *testing.T) {
	w := newWire(t, 1500)
	u, _ := acceptor(0)
	server := w.start(t, 1, ipcp.EthDIX, u)
	must(t, server.Register(t.Context(), op))
	c := w.dial(t, 0, dix, server)
	tagged := c.message(query{op})
	c.raw(append(append(bytes.Clone(tagged[:12]), 0x81, 0x00, 0x00, 0x05), tagged[12:]...))
	c.silentAfterQuery()
}

func TestTwoLayersOnOneDevice(t *testing.T) {
	w := newWire(t, 1500)
	other := func(c *ipcp.Config) { c.Eth.Ethertype = 0xA123 }
	c1, s1, p1 := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
	c2, s2, p2 := w.pair(t, ipcp.EthDIX, layer.CapTeardown, other)
	c3, s3, p3 := w.pair(t, ipcp.EthLLC, layer.CapTeardown)
	exchange(t, c1, s1, p1)
	if err := c2.Query(within(t, 20*time.Millisecond), op); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("a name of another layer: %v", err)
	}
	exchange(t, c2, s2, p2)
	exchange(t, c3, s3, p3)
	for _, again := range []ipcp.Type{ipcp.EthDIX, ipcp.EthLLC} {
		if _, err := w.try(t, 0, again, noUpper); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("second %v on one device: %v", again, err)
		}
	}
	c1.Close()
	exchange(t, w.start(t, 0, ipcp.EthDIX, noUpper), s1, p1)
}

func TestBootstrapRefuses(t *testing.T) {
	w := newWire(t, 1500)
	for name, change := range map[string]func(*ipcp.Config){
		"other type":   func(c *ipcp.Config) { c.Type = ipcp.UDP4 },
		"no device":    func(c *ipcp.Config) { c.Eth.Device = "" },
		"no such":      func(c *ipcp.Config) { c.Eth.Device = "nosuch" },
		"long name":    func(c *ipcp.Config) { c.Eth.Device = "longer-than-any-device" },
		"IP's type":    func(c *ipcp.Config) { c.Eth.Ethertype = 0x05ff },
		"highest type": func(c *ipcp.Config) { c.Eth.Ethertype = 0xffff },
	} {
		p, err := w.try(t, 0, ipcp.EthDIX, noUpper, change)
		if err == nil || p.State() != ipcp.Boot {
			t.Errorf("%s: %v, state %v", name, err, p.State())
		}
	}
	small := newWire(t, 68)
	if _, err := small.try(t, 0, ipcp.EthDIX, noUpper); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("MTU 68: %v", err)
	}
	if _, err := New(ipcp.UDP4, ipcp.Env{}); !errors.Is(err, layer.ErrIPCPType) {
		t.Errorf("New(UDP4): %v", err)
	}
}

// On the loopback device an IPC process hears itself.
func TestLoopback(t *testing.T) {
	w := newWire(t, 1500)
	w.set(t, 0, "lo", true)
	for _, typ := range []ipcp.Type{ipcp.EthDIX, ipcp.EthLLC} {
		u, ports := acceptor(layer.CapTeardown)
		p := w.start(t, 0, typ, u, func(c *ipcp.Config) { c.Eth.Device = "lo" })
		if want := map[ipcp.Type]int{ipcp.EthDIX: 8996, ipcp.EthLLC: 1497}[typ]; p.mtu != want {
			t.Errorf("%v: MTU %d", typ, p.mtu)
		}
		exchange(t, p, p, ports)
	}
}
