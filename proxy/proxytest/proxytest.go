// SPDX-License-Identifier: BSD-3-Clause

// Package proxytest makes what tests of sessions stand on: nodes joined over
// the loopback interface.
//
// Start with Pair.
package proxytest

import (
	"context"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	"o7gw/o7s"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/node"
	"o7gw/o7s/qos"
	"o7gw/proxy"
)

// Stack is the stack of a node, as package proxy wants it.
type Stack struct{ *o7s.Stack }

// Listen takes the flows to a name.
func (s Stack) Listen(ctx context.Context, name string) (proxy.Listener, error) {
	l, err := s.Stack.Listen(ctx, name)
	if err != nil {
		return nil, err
	}
	return l, nil
}

var pairs atomic.Uint32

// most is how many pairs a process can have at a time.
const most = 125

// Pair returns the stacks of two nodes that are joined by a udp4 layer on the
// loopback interface; the second serves the names. Both end with the test.
func Pair(t testing.TB, names ...string) (client, server Stack) {
	return PairMTU(t, 0, names...)
}

// PairMTU is Pair on a path that carries IP packets of mtu bytes; 0: those of the
// loopback interface, 65536.
func PairMTU(t testing.TB, mtu int, names ...string) (client, server Stack) {
	t.Helper()
	a, b := udpPair(t, mtu, names...)
	return Stack{a.Stack()}, Stack{b.Stack()}
}

// Local returns two stacks that are attached to one daemon, as two programs are:
// their flows are rings. Both end with the test.
func Local(t testing.TB) (client, server Stack) {
	t.Helper()
	dir := runDir(t)
	begin(t, node.Config{RunDir: dir})
	return attach(t, dir), attach(t, dir)
}

// Daemons is PairMTU with stacks that are attached to two daemons.
func Daemons(t testing.TB, mtu int, names ...string) (client, server Stack) {
	t.Helper()
	a, b := addresses()
	near, far := runDir(t), runDir(t)
	start(t, near, ipcp.UDPConfig{Addr: a, MTU: mtu, Hosts: hosts(b, names)})
	start(t, far, ipcp.UDPConfig{Addr: b, MTU: mtu})
	return attach(t, near), attach(t, far)
}

// Simulated returns the stacks of two nodes on a simulated link, which can lose
// packets and be cut. Both end with the test.
func Simulated(t testing.TB, p sim.Params) (client, server Stack, link *sim.Link) {
	t.Helper()
	network := sim.NewNetwork(1)
	t.Cleanup(network.Close)
	link = network.NewLink(p)
	at := func() Stack {
		factory := func(kind ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) { return link.NewIPCP(kind, env), nil }
		n := begin(t, node.Config{Factory: factory})
		join(t, n, ipcp.EthDIX, ipcp.Config{Layer: "net"})
		return Stack{n.Stack()}
	}
	return at(), at(), link
}

// runDir returns a directory with a path short enough for a socket.
func runDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "o7s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// attach returns a stack that is attached to a daemon.
func attach(t testing.TB, dir string) Stack {
	t.Helper()
	s, err := o7s.Connect(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return Stack{s}
}

// Unicast returns the stacks of two nodes in a unicast layer, which stands on a
// udp4 layer like that of PairMTU. Either can serve any name. Both end with the test.
func Unicast(t testing.TB, mtu int) (client, server Stack) {
	t.Helper()
	const first = "first.member"
	a, b := udpPair(t, mtu, first)
	ctx := context.Background()
	id := top(t, b.IRM())
	cfg := ipcp.Config{Type: ipcp.Unicast, Layer: "top", Hash: layer.SHA3_256}
	for _, err := range []error{
		b.IRM().Bootstrap(ctx, id, cfg),
		b.IRM().CreateName(irm.NameInfo{Name: first}),
		b.IRM().BindIPCP(id, first),
		b.IRM().Register(ctx, first, b.udp),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	id = top(t, a.IRM())
	if _, err := a.IRM().Enroll(ctx, id, first); err != nil {
		t.Fatal(err)
	}
	for _, c := range irm.Components(ipcp.Unicast) {
		if err := a.IRM().Connect(ctx, id, first, c, qos.Raw); err != nil {
			t.Fatal(err)
		}
	}
	return Stack{a.Stack()}, Stack{b.Stack()}
}

// top makes the unicast IPC process of a node.
func top(t testing.TB, i *irm.IRM) int {
	t.Helper()
	id, err := i.CreateIPCP(ipcp.Unicast, "uni")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// member is a node in a udp4 layer, and the id of its IPC process there.
type member struct {
	*node.Node
	udp int
}

// udpPair returns two nodes in a udp4 layer.
func udpPair(t testing.TB, mtu int, names ...string) (client, server member) {
	t.Helper()
	a, b := addresses()
	return start(t, "", ipcp.UDPConfig{Addr: a, MTU: mtu, Hosts: hosts(b, names)}), start(t, "", ipcp.UDPConfig{Addr: b, MTU: mtu})
}

// addresses returns two that nobody else has, since the port is the same for all; also
// apart from those of other packages' tests, which run at the same time.
func addresses() (a, b netip.Addr) {
	pid, n := os.Getpid(), byte(pairs.Add(1)%most)
	at := func(last byte) netip.Addr {
		return netip.AddrFrom4([4]byte{127, 16 + byte(pid>>8)&0x7f, byte(pid), last})
	}
	return at(2*n + 1), at(2*n + 2)
}

// hosts says that names are served at an address.
func hosts(at netip.Addr, names []string) map[string][]netip.Addr {
	m := map[string][]netip.Addr{}
	for _, name := range names {
		m[name] = []netip.Addr{at}
	}
	return m
}

// start starts a node in a udp4 layer.
func start(t testing.TB, dir string, cfg ipcp.UDPConfig) member {
	t.Helper()
	n := begin(t, node.Config{RunDir: dir})
	return member{n, join(t, n, ipcp.UDP4, ipcp.Config{Layer: "net", UDP: cfg})}
}

// join makes an IPC process of a node and returns its id.
func join(t testing.TB, n *node.Node, kind ipcp.Type, cfg ipcp.Config) int {
	t.Helper()
	id, err := n.IRM().CreateIPCP(kind, kind.String())
	if err == nil {
		cfg.Type = kind
		err = n.IRM().Bootstrap(context.Background(), id, cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// begin starts a node; one with a run directory is a daemon.
func begin(t testing.TB, cfg node.Config) *node.Node {
	t.Helper()
	n, err := node.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Stack().Close()
		n.Close()
	})
	return n
}
