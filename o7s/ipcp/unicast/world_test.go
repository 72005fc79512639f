// SPDX-License-Identifier: BSD-3-Clause

package unicast_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/ipcp/unicast"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// world is a simulated network of whole nodes, each with an IRM, a simulated
// shim for every cable, and a unicast IPC process on top. It runs in a synctest bubble.
type world struct {
	t     *testing.T
	net   *sim.Network
	nodes []*node
	links map[[2]int]*sim.Link // by the numbers of their ends, lower first
}

// node is a host. Its unicast IPC process is named "u" and its number.
type node struct {
	w     *world
	num   int
	irm   *irm.IRM
	uni   int          // id of the unicast IPC process
	app   *irm.Process // an application
	shims map[string]*sim.Link
	ids   []int // of shims
	log   *slog.Logger
	done  sync.WaitGroup
}

// layerName is that of the simulated unicast layer.
const layerName = "net"

func newWorld(t *testing.T, seed uint64, nodes int) *world {
	t.Helper()
	t.Logf("seed %d", seed)
	w := &world{t: t, net: sim.NewNetwork(seed), links: make(map[[2]int]*sim.Link)}
	for range nodes {
		w.boot(len(w.nodes))
	}
	return w
}

func (n *node) name() string { return fmt.Sprintf("u%d", n.num) }

// boot starts a host, or one again that was stopped.
func (w *world) boot(i int) *node {
	w.t.Helper()
	n := &node{w: w, num: i, shims: make(map[string]*sim.Link), log: slog.New(slog.DiscardHandler)}
	if os.Getenv("O7S_TEST_LOG") != "" {
		n.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", i)
	}
	n.irm = irm.New(irm.Options{Factory: n.factory, Log: n.log})
	var err error
	if n.uni, err = n.irm.CreateIPCP(ipcp.Unicast, n.name()); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range []string{n.name(), layerName} {
		if err := n.irm.BindIPCP(n.uni, s); err != nil {
			w.t.Fatal(err)
		}
	}
	if n.app, err = n.irm.Attach(irm.ProcInfo{PID: 1, Program: "app", Creds: irm.Creds{Admin: true}}); err != nil {
		w.t.Fatal(err)
	}
	if i < len(w.nodes) {
		w.nodes[i] = n
	} else {
		w.nodes = append(w.nodes, n)
	}
	return n
}

func (n *node) factory(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	if t == ipcp.Unicast {
		return unicast.New(env)
	}
	return n.shims[env.Name].NewIPCP(t, env), nil
}

// stop ends a host, as when it is shut down.
func (n *node) stop() {
	if err := n.irm.Close(context.Background()); err != nil {
		n.w.t.Error(err)
	}
	n.done.Wait()
}

func (w *world) close() {
	for _, n := range w.nodes {
		n.stop()
	}
}

// cable joins two hosts.
func (w *world) cable(i, j int, p sim.Params) *sim.Link {
	w.t.Helper()
	l := w.net.NewLink(p)
	w.links[[2]int{min(i, j), max(i, j)}] = l
	w.nodes[i].plug(l, j)
	w.nodes[j].plug(l, i)
	return l
}

// plug makes the shim of a cable to host j, in which the unicast IPC process
// can be reached.
func (n *node) plug(l *sim.Link, j int) {
	n.w.t.Helper()
	name := fmt.Sprintf("c%d", j)
	n.shims[name] = l
	id, err := n.irm.CreateIPCP(ipcp.EthDIX, name)
	if err == nil {
		err = n.irm.Bootstrap(context.Background(), id, ipcp.Config{Type: ipcp.EthDIX, Layer: "cable", Hash: layer.SHA3_256})
	}
	for _, s := range []string{n.name(), layerName} {
		if err == nil {
			err = n.irm.Register(context.Background(), s, id)
		}
	}
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.ids = append(n.ids, id)
}

func (n *node) bootstrap(c ipcp.UnicastConfig) {
	n.w.t.Helper()
	cfg := ipcp.Config{Type: ipcp.Unicast, Layer: layerName, Hash: layer.SHA3_256, Unicast: c}
	if err := n.irm.Bootstrap(context.Background(), n.uni, cfg); err != nil {
		n.w.t.Fatal(err)
	}
}

// enroll joins through host j, and connects to it.
func (n *node) enroll(j int) {
	n.w.t.Helper()
	if _, err := n.irm.Enroll(context.Background(), n.uni, fmt.Sprintf("u%d", j)); err != nil {
		n.w.t.Errorf("host %d: %v", n.num, err)
		return
	}
	n.connect(j)
}

func (n *node) connect(j int) {
	n.w.t.Helper()
	for _, c := range []string{cep.Management, cep.DataTransfer} {
		if err := n.irm.Connect(context.Background(), n.uni, fmt.Sprintf("u%d", j), c, qos.Raw); err != nil {
			n.w.t.Errorf("host %d: %v", n.num, err)
		}
	}
}

func (n *node) disconnect(j int) {
	n.w.t.Helper()
	for _, c := range []string{cep.DataTransfer, cep.Management} {
		if err := n.irm.Disconnect(context.Background(), n.uni, fmt.Sprintf("u%d", j), c); err != nil {
			n.w.t.Errorf("host %d: %v", n.num, err)
		}
	}
}

// serve makes the name reachable and echoes what arrives for it.
func (n *node) serve(name string) {
	n.w.t.Helper()
	if _, err := n.app.Listen(context.Background(), name); err != nil {
		n.w.t.Fatal(err)
	}
	n.done.Go(func() {
		for {
			f, err := n.app.Accept(context.Background(), name)
			if err != nil {
				return
			}
			f.Port().Receive(&echo{f})
		}
	})
}

// echo sends back what it receives.
type echo struct{ f *irm.Flow }

func (e *echo) Packets(pkts []*packet.Buffer) { e.f.Port().Send(pkts) }

func (e *echo) Event(ev layer.Event) {
	if ev == layer.Closed {
		e.f.Dealloc()
	}
}

// dial allocates a flow.
func (n *node) dial(name string) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	f, err := n.app.Alloc(ctx, name, qos.Raw)
	if err != nil {
		return nil, err
	}
	c := &client{f: f, got: make(chan string, 1024)}
	f.Port().Receive(c)
	return c, nil
}

func (n *node) mustDial(name string) *client {
	n.w.t.Helper()
	c, err := n.dial(name)
	if err != nil {
		n.w.t.Fatalf("host %d: %v", n.num, err)
	}
	return c
}

// client is a flow of an application.
type client struct {
	f   *irm.Flow
	got chan string

	mu     sync.Mutex
	events []layer.Event
}

func (c *client) Packets(pkts []*packet.Buffer) {
	for _, b := range pkts {
		select {
		case c.got <- string(b.Bytes()):
		default:
		}
		b.Release()
	}
}

func (c *client) Event(e layer.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func (c *client) saw(e layer.Event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.events, e)
}

func (c *client) send(s string) {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	c.f.Port().Send([]*packet.Buffer{b})
}

// echoed reports whether a message comes back within a second, tried n times.
func (c *client) echoed(n int) bool {
	for i := range n {
		want := fmt.Sprintf("%p %d %v", c, i, time.Now())
		c.send(want)
		limit := time.After(time.Second)
	wait:
		for {
			select {
			case s := <-c.got:
				if s == want {
					return true
				}
			case <-limit:
				break wait
			}
		}
	}
	return false
}

// eventually waits until ok, or fails the test.
func (w *world) eventually(limit time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			w.t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// reaches waits until a flow from one host to a name works.
func (n *node) reaches(limit time.Duration, name string) {
	n.w.t.Helper()
	n.w.eventually(limit, fmt.Sprintf("flow from host %d to %s", n.num, name), func() bool {
		c, err := n.dial(name)
		if err != nil {
			return false
		}
		defer c.f.Dealloc()
		return c.echoed(1)
	})
}

// enrollPatiently is enroll over a link that loses packets: an operator, or a
// configuration file, tries again.
func (n *node) enrollPatiently(j int) {
	n.w.t.Helper()
	ctx := context.Background()
	dst := fmt.Sprintf("u%d", j)
	steps := []func() error{
		func() error { _, err := n.irm.Enroll(ctx, n.uni, dst); return err },
		func() error { return n.irm.Connect(ctx, n.uni, dst, cep.Management, qos.Raw) },
		func() error { return n.irm.Connect(ctx, n.uni, dst, cep.DataTransfer, qos.Raw) },
	}
	for _, step := range steps {
		n.w.eventually(2*time.Minute, fmt.Sprintf("host %d joins through %d", n.num, j), func() bool { return step() == nil })
	}
}
