// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package segment

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"o7gw/gateway/nstest"
	"o7gw/gateway/tunnel"
	"o7gw/o7s"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/node"
	"o7gw/o7s/qos"
)

// TestMain runs the tests again in a network namespace of their own, so that
// they touch nothing of the machine.
func TestMain(m *testing.M) {
	os.Exit(nstest.Main(m))
}

func needRoot(t testing.TB) {
	t.Helper()
	nstest.Need(t)
	run(t, "ip link set lo up")
}

func run(t testing.TB, command string) string {
	t.Helper()
	f := strings.Fields(command)
	out, err := exec.Command(f[0], f[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// stackNet is the network of a node.
type stackNet struct{ *o7s.Stack }

func (n stackNet) Dial(ctx context.Context, name string, qs qos.Spec) (tunnel.Flow, error) {
	return flowOf(n.Stack.Dial(ctx, name, o7s.WithQoS(qs)))
}

func (n stackNet) Join(ctx context.Context, layerName string) (tunnel.Flow, error) {
	return flowOf(n.Stack.Join(ctx, layerName))
}

func flowOf(f *o7s.Flow, err error) (tunnel.Flow, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (n stackNet) Listen(ctx context.Context, name string) (tunnel.Listener, error) {
	l, err := n.Stack.Listen(ctx, name)
	if err != nil {
		return nil, err
	}
	return stackListener{l}, nil
}

type stackListener struct{ *o7s.Listener }

func (l stackListener) AcceptFlow(ctx context.Context) (tunnel.Flow, error) {
	return flowOf(l.Listener.AcceptFlow(ctx))
}

// cluster is some nodes in a udp layer over the loopback interface, where "lan0"
// is a name that node 0 may serve, and so on. mtu is that of the path.
type cluster struct {
	nodes []*node.Node
	udp   []int // the IPC processes
	dad   bool  // IPv6 asks whether an address is in use already
}

var clusters atomic.Uint32

func newCluster(t testing.TB, size, mtu int) *cluster {
	t.Helper()
	n := clusters.Add(1)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 78, byte(n), byte(i + 1)}) }
	hosts := map[string][]netip.Addr{}
	for i := range size {
		for _, name := range []string{"lan", "bc"} {
			hosts[fmt.Sprint(name, i)] = []netip.Addr{at(i)}
		}
	}
	c := &cluster{}
	for i := range size {
		n, err := node.New(t.Context(), node.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		id, err := n.IRM().CreateIPCP(ipcp.UDP4, "udp")
		if err == nil {
			err = n.IRM().Bootstrap(t.Context(), id, ipcp.Config{Type: ipcp.UDP4, Layer: "net", UDP: ipcp.UDPConfig{Addr: at(i), MTU: mtu, Hosts: hosts}})
		}
		if err != nil {
			t.Fatal(err)
		}
		c.nodes, c.udp = append(c.nodes, n), append(c.udp, id)
	}
	return c
}

// broadcast makes a broadcast layer "bc" of all nodes.
func (c *cluster) broadcast(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	for i, n := range c.nodes {
		m := n.IRM()
		name, before := fmt.Sprint("bc", i), fmt.Sprint("bc", i-1)
		id, err := m.CreateIPCP(ipcp.Broadcast, name)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			err = m.Bootstrap(ctx, id, ipcp.Config{Type: ipcp.Broadcast, Layer: "bc", Hash: layer.SHA3_256})
		} else if _, err = m.Enroll(ctx, id, before); err == nil {
			err = m.Connect(ctx, id, before, irm.DataTransfer, qos.Raw)
		}
		for _, err := range []error{err, m.CreateName(irm.NameInfo{Name: name}), m.BindIPCP(id, name), m.Register(ctx, name, c.udp[i])} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// computer is a network namespace with the device of a segment in it.
type computer struct {
	*Segment
	ns   netns.NsHandle
	name string // of the device
	v4   netip.Addr
	v6   netip.Addr
}

// in calls f in the namespace.
func (c *computer) in(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if err := netns.Set(c.ns); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(here); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func (c *computer) run(t testing.TB, command string) (out string) {
	t.Helper()
	c.in(t, func() { out = run(t, command) })
	return out
}

// newNamespace makes a network namespace that goes with the test.
func newNamespace(t testing.TB) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netns.Set(here); err != nil {
		t.Fatal(err)
	}
	return ns
}

// computer starts a segment on node i and puts its device into a namespace, as
// 10.9.0.(i+1) and fd09::(i+1).
func (c *cluster) computer(t testing.TB, i int, cfg Config) *computer {
	t.Helper()
	m := &computer{
		ns: newNamespace(t), Segment: New(cfg, stackNet{c.nodes[i].Stack()}, slog.New(slog.DiscardHandler)),
		v4: netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}), v6: netip.MustParseAddr(fmt.Sprintf("fd09::%d", i+1)),
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	m.name = m.Status().Device
	link, err := netlink.LinkByName(m.name)
	if err == nil {
		err = netlink.LinkSetNsFd(link, int(m.ns))
	}
	if err != nil {
		t.Fatal(err)
	}
	m.run(t, fmt.Sprintf("ip addr add %v/24 dev %s", m.v4, m.name))
	v6 := fmt.Sprintf("ip addr add %v/64 dev %s", m.v6, m.name)
	if !c.dad {
		v6 += " nodad"
	}
	m.run(t, v6)
	m.run(t, "ip link set lo up")
	m.run(t, "ip link set up dev "+m.name)
	return m
}

// flows waits until a segment has so many flows to members that are known, and
// to a layer.
func (m *computer) flows(t testing.TB, want int) {
	t.Helper()
	waitFor(t, func() bool {
		n := 0
		for _, p := range m.Status().Ports {
			if p.Member != "" || p.Kind == "layer" {
				n++
			}
		}
		return n == want
	}, func() string { return fmt.Sprintf("%s: %+v", m.name, m.Status()) })
}

func waitFor(t testing.TB, cond func() bool, say func() string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(say())
		}
	}
}

// ping sends one ping of size bytes, which must not be fragmented, and again
// until it is answered.
func (m *computer) ping(t testing.TB, to netip.Addr, size int) {
	t.Helper()
	m.run(t, fmt.Sprintf("ping -n -q -c 1 -w 10 -i 0.2 -M do -s %d %v", size, to))
}

// listen opens a UDP socket on the computer.
func (m *computer) listen(t testing.TB, open func() (*net.UDPConn, error)) (c *net.UDPConn) {
	t.Helper()
	m.in(t, func() {
		var err error
		if c, err = open(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// receive reads n datagrams that begin with prefix, and returns how many came in
// the time.
func receive(c *net.UDPConn, prefix string, n int, d time.Duration) (got int) {
	c.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 2000)
	for got < n {
		k, err := c.Read(buf)
		if err != nil {
			return got
		}
		if strings.HasPrefix(string(buf[:k]), prefix) {
			got++
		}
	}
	return got
}

// transfer sends n bytes over TCP from one computer to the other.
func transfer(t testing.TB, from, to *computer, n int64) {
	t.Helper()
	var l net.Listener
	var err error
	to.in(t, func() { l, err = net.Listen("tcp", netip.AddrPortFrom(to.v4, 0).String()) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer c.Close()
		k, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<18))
		got <- k
	}()
	var c net.Conn
	from.in(t, func() { c, err = net.DialTimeout("tcp", l.Addr().String(), 10*time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<18)
	for left := n; left > 0; {
		k, err := c.Write(buf[:min(left, int64(len(buf)))])
		if err != nil {
			t.Fatal(err)
		}
		left -= int64(k)
	}
	c.Close()
	if k := <-got; k != n {
		t.Fatalf("%d of %d bytes arrived", k, n)
	}
}
