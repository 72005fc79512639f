// SPDX-License-Identifier: BSD-3-Clause

package broadcast_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/broadcast"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

const layerName = "bc"

// world is a simulated network of whole nodes, each with an IRM, a simulated
// shim for every cable, a broadcast IPC process on top and an application. It
// runs in a synctest bubble.
type world struct {
	t     *testing.T
	net   *sim.Network
	nodes []*node
	links map[[2]int]*sim.Link // by the numbers of their ends, lower first
}

// node is a host. Its broadcast IPC process is named "b" and its number.
type node struct {
	w     *world
	num   int
	irm   *irm.IRM
	bc    int // id of the broadcast IPC process
	app   *irm.Process
	shims map[string]*sim.Link
	log   *slog.Logger
}

func newWorld(t *testing.T, seed uint64, nodes int) *world {
	t.Helper()
	t.Logf("seed %d", seed)
	w := &world{t: t, net: sim.NewNetwork(seed), links: make(map[[2]int]*sim.Link)}
	for i := range nodes {
		w.nodes = append(w.nodes, nil)
		w.boot(i)
	}
	return w
}

func name(i int) string { return fmt.Sprint("b", i) }

// boot starts a host.
func (w *world) boot(i int) *node {
	w.t.Helper()
	n := &node{w: w, num: i, shims: make(map[string]*sim.Link), log: slog.New(slog.DiscardHandler)}
	if os.Getenv("O7S_TEST_LOG") != "" {
		n.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", i)
	}
	n.irm = irm.New(irm.Options{Factory: n.factory, Log: n.log})
	var err error
	if n.bc, err = n.irm.CreateIPCP(ipcp.Broadcast, name(i)); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range []string{name(i), layerName} {
		if err := n.irm.BindIPCP(n.bc, s); err != nil {
			w.t.Fatal(err)
		}
	}
	if n.app, err = n.irm.Attach(irm.ProcInfo{PID: 1, Program: "app", Creds: irm.Creds{Admin: true}}); err != nil {
		w.t.Fatal(err)
	}
	w.nodes[i] = n
	return n
}

func (n *node) factory(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	if t == ipcp.Broadcast {
		return broadcast.New(env)
	}
	return n.shims[env.Name].NewIPCP(t, env), nil
}

// stop ends a host, as when it is shut down.
func (n *node) stop() {
	if err := n.irm.Close(context.Background()); err != nil {
		n.w.t.Error(err)
	}
}

func (w *world) close() {
	for _, n := range w.nodes {
		n.stop()
	}
	w.net.Close()
}

// cable joins two hosts.
func (w *world) cable(i, j int, p sim.Params) {
	w.t.Helper()
	l := w.net.NewLink(p)
	w.links[[2]int{min(i, j), max(i, j)}] = l
	w.nodes[i].plug(l, j)
	w.nodes[j].plug(l, i)
}

// plug makes the shim of a cable to host j, in which the broadcast IPC
// process can be reached.
func (n *node) plug(l *sim.Link, j int) {
	n.w.t.Helper()
	shim := fmt.Sprintf("c%d", j)
	n.shims[shim] = l
	id, err := n.irm.CreateIPCP(ipcp.EthDIX, shim)
	if err == nil {
		err = n.irm.Bootstrap(context.Background(), id, ipcp.Config{Type: ipcp.EthDIX, Layer: "cable", Hash: layer.SHA3_256})
	}
	if err == nil {
		err = n.irm.Register(context.Background(), name(n.num), id)
	}
	if err != nil {
		n.w.t.Fatal(err)
	}
}

func (n *node) bootstrap() {
	n.w.t.Helper()
	// The hash of the configuration is not heeded.
	cfg := ipcp.Config{Type: ipcp.Broadcast, Layer: layerName, Hash: layer.SHA3_512}
	if err := n.irm.Bootstrap(context.Background(), n.bc, cfg); err != nil {
		n.w.t.Fatal(err)
	}
}

func (n *node) tryEnroll(j int) error {
	info, err := n.irm.Enroll(context.Background(), n.bc, name(j))
	if err == nil && (info.Layer != layerName || info.Hash != layer.SHA3_256) {
		err = fmt.Errorf("enrolled in %+v", info)
	}
	return err
}

func (n *node) tryConnect(j int) error {
	return n.irm.Connect(context.Background(), n.bc, name(j), cep.DataTransfer, qos.Raw)
}

// enroll joins through host j, and connects to it.
func (n *node) enroll(j int) {
	n.w.t.Helper()
	if err := n.tryEnroll(j); err != nil {
		n.w.t.Fatalf("host %d: %v", n.num, err)
	}
	n.connect(j)
}

func (n *node) connect(j int) {
	n.w.t.Helper()
	if err := n.tryConnect(j); err != nil {
		n.w.t.Fatalf("host %d: %v", n.num, err)
	}
	synctest.Wait() // the connection is the component's now
}

func (n *node) disconnect(j int) {
	n.w.t.Helper()
	if err := n.irm.Disconnect(context.Background(), n.bc, name(j), cep.DataTransfer); err != nil {
		n.w.t.Fatalf("host %d: %v", n.num, err)
	}
}

// member is an application that has joined.
type member struct {
	node *node
	flow *irm.Flow

	mu  sync.Mutex
	got []string
}

func (n *node) join() *member {
	n.w.t.Helper()
	f, err := n.app.Join(context.Background(), layerName)
	if err != nil {
		n.w.t.Fatal(err)
	}
	m := &member{node: n, flow: f}
	f.Port().Receive(m)
	return m
}

// joinAll lets an application join on every host.
func (w *world) joinAll() []*member {
	w.t.Helper()
	var all []*member
	for _, n := range w.nodes {
		all = append(all, n.join())
	}
	return all
}

func (m *member) Packets(pkts []*packet.Buffer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range pkts {
		m.got = append(m.got, string(b.Bytes()))
	}
	packet.ReleaseBatch(pkts)
}

func (m *member) Event(layer.Event) {}

// count says how often a message has come.
func (m *member) count(s string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.got {
		if g == s {
			n++
		}
	}
	return n
}

func (m *member) send(s string) {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	m.flow.Port().Send([]*packet.Buffer{b})
}

// travel is how long packets may travel in these worlds.
const travel = 400 * time.Millisecond

// everybody lets each application send a message, and expects it once at each other one.
func (w *world) everybody(all []*member, what string) {
	w.t.Helper()
	for _, from := range all {
		from.send(fmt.Sprint(what, " of ", from.node.num))
	}
	time.Sleep(travel)
	for _, from := range all {
		msg := fmt.Sprint(what, " of ", from.node.num)
		for _, to := range all {
			want := 1
			if to == from {
				want = 0
			}
			if got := to.count(msg); got != want {
				w.t.Errorf("host %d has %q %d times, want %d", to.node.num, msg, got, want)
			}
		}
	}
}

// sent is how many packets were sent over all cables.
func (w *world) sent() (n uint64) {
	for _, l := range w.links {
		n += l.Stats().Sent
	}
	return n
}

// eventually waits until ok, or fails the test.
func (w *world) eventually(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	for start := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > limit {
			w.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// reaches waits until messages of one application come to the other.
func (w *world) reaches(limit time.Duration, from, to *member) {
	w.t.Helper()
	w.eventually(limit, fmt.Sprintf("message from host %d to %d", from.node.num, to.node.num), func() bool {
		s := fmt.Sprint(from.node.num, "at", time.Now().UnixNano())
		from.send(s)
		time.Sleep(10 * time.Millisecond)
		return to.count(s) > 0
	})
}
