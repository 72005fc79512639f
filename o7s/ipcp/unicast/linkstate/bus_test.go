// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// machine is what the simulated network drives: a State, or a model of the
// prototype.
type machine interface {
	AddPeer(now time.Time, p Peer, addr uint64, caps Caps)
	RemovePeer(now time.Time, p Peer)
	LinkUp(now time.Time, addr uint64)
	LinkDown(now time.Time, addr uint64)
	Receive(now time.Time, p Peer, pkt []byte)
	Tick(now time.Time)
	Deadline() time.Time
	Drain(send func(p Peer, pkt []byte), routes func([]Route))
}

var (
	_ machine = (*State)(nil)
	_ machine = (*proto)(nil)
)

// bus is a simulated network of machines: packets take some time, are
// reordered and lost. Everything follows from the seed.
type bus struct {
	t     testing.TB
	rng   *rand.Rand
	cfg   Config // but Self
	loss  float64
	now   time.Time
	queue events
	order int
	nodes []*node
	conns int
	sent  int // packets
}

// node is a member.
type node struct {
	addr   uint64
	c      bool // a prototype
	m      machine
	dead   bool
	wires  []*wire
	routes map[uint64][]uint64
	tick   time.Time // for which a Tick is queued
}

// wire is one direction of a connection of two members: management and data.
type wire struct {
	from, to *node
	back     *wire
	id       Peer
	cut      bool // packets are lost, and nobody knows
}

type event struct {
	at    time.Time
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if c := e[i].at.Compare(e[j].at); c != 0 {
		return c < 0
	}
	return e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newBus(t testing.TB, seed uint64) *bus {
	t.Logf("seed %d", seed)
	return &bus{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0),
		cfg: Config{Update: DefaultUpdate, Timeout: DefaultTimeout},
	}
}

func (b *bus) at(d time.Duration, do func()) {
	b.order++
	heap.Push(&b.queue, event{b.now.Add(d), b.order, do})
}

// run lets time pass.
func (b *bus) run(d time.Duration) {
	end := b.now.Add(d)
	for len(b.queue) > 0 && !b.queue[0].at.After(end) {
		e := heap.Pop(&b.queue).(event)
		b.now = e.at
		e.do()
	}
	b.now = end
}

// add makes a member with a random address.
func (b *bus) add(c bool) *node {
	n := &node{c: c}
	n.addr = uint64(b.rng.Uint32() | 1)
	b.nodes = append(b.nodes, n)
	b.start(n)
	return n
}

// start makes the machine of a member, again if it had one.
func (b *bus) start(n *node) {
	cfg := b.cfg
	cfg.Self = n.addr
	n.routes, n.dead, n.tick = nil, false, time.Time{}
	if n.c {
		n.m = newProto(cfg)
	} else {
		n.m = New(cfg)
	}
	b.do(n, func(time.Time) {})
}

// do gives a machine an input and does what it wants.
func (b *bus) do(n *node, input func(now time.Time)) {
	if n.dead {
		return
	}
	m := n.m
	input(b.now)
	m.Drain(func(p Peer, pkt []byte) { b.send(n, p, pkt) }, func(routes []Route) {
		n.routes = make(map[uint64][]uint64)
		for _, r := range routes {
			n.routes[r.Dst] = slices.Clone(r.Next)
		}
	})
	d := m.Deadline()
	if d.IsZero() || !n.tick.IsZero() && !n.tick.After(d) {
		return
	}
	n.tick = d
	b.at(max(0, d.Sub(b.now)), func() {
		if n.m == m && n.tick.Equal(d) {
			n.tick = time.Time{}
			b.do(n, m.Tick)
		}
	})
}

func (b *bus) send(n *node, p Peer, pkt []byte) {
	i := slices.IndexFunc(n.wires, func(w *wire) bool { return w.id == p })
	if i < 0 {
		b.t.Errorf("node %x sends over connection %d, which is gone", n.addr, p)
		return
	}
	b.sent++
	w := n.wires[i]
	if w.to.c && len(pkt) != lsaSize && !bytes.Equal(pkt, filler) {
		b.t.Errorf("node %x sends % x to a prototype", n.addr, pkt)
	}
	if w.cut || b.rng.Float64() < b.loss {
		return
	}
	pkt = bytes.Clone(pkt)
	b.at(time.Millisecond+time.Duration(b.rng.IntN(int(4*time.Millisecond))), func() {
		if !w.cut && slices.Contains(w.to.wires, w.back) {
			b.do(w.to, func(now time.Time) { w.to.m.Receive(now, w.back.id, pkt) })
		}
	})
}

// connect makes management and data connections between two members.
func (b *bus) connect(x, y *node) {
	b.conns++
	wx := &wire{from: x, to: y, id: Peer(b.conns)}
	wy := &wire{from: y, to: x, id: Peer(b.conns), back: wx}
	wx.back = wy
	for _, w := range []*wire{wx, wy} {
		w.from.wires = append(w.from.wires, w)
	}
	for _, w := range []*wire{wx, wy} {
		caps := Caps{Batch: !x.c && !y.c, Withdraw: !x.c && !y.c}
		b.do(w.from, func(now time.Time) { w.from.m.AddPeer(now, w.id, w.to.addr, caps) })
		b.do(w.from, func(now time.Time) { w.from.m.LinkUp(now, w.to.addr) })
	}
}

func (n *node) wire(to *node) *wire {
	for _, w := range n.wires {
		if w.to == to {
			return w
		}
	}
	return nil
}

func (n *node) neighbours() []*node {
	var all []*node
	for _, w := range n.wires {
		all = append(all, w.to)
	}
	return all
}

// disconnect ends the connections between two members, and each that lives
// notices.
func (b *bus) disconnect(x, y *node) {
	for _, w := range []*wire{x.wire(y), y.wire(x)} {
		n := w.from
		b.do(n, func(now time.Time) { n.m.LinkDown(now, w.to.addr) })
		b.do(n, func(now time.Time) { n.m.RemovePeer(now, w.id) })
		n.wires = slices.DeleteFunc(n.wires, func(o *wire) bool { return o == w })
	}
}

// cut loses all packets between two members, or no longer does, and nobody
// is told.
func (b *bus) cut(x, y *node, cut bool) {
	x.wire(y).cut, y.wire(x).cut = cut, cut
}

// kill ends a member; its neighbours do not notice.
func (b *bus) kill(n *node) { n.dead = true }

// bury ends the connections of a dead member at its neighbours.
func (b *bus) bury(n *node) {
	for len(n.wires) > 0 {
		b.disconnect(n, n.wires[0].to)
	}
}

// random connects n new members: a line through all, and other connections.
func (b *bus) random(n, more int) {
	first := len(b.nodes)
	for range n {
		b.add(false)
	}
	all := b.nodes[first:]
	for i := 1; i < n; i++ {
		b.connect(all[i], all[b.rng.IntN(i)])
	}
	for i := 0; i < more && n > 2; {
		if x, y := all[b.rng.IntN(n)], all[b.rng.IntN(n)]; x != y && x.wire(y) == nil {
			b.connect(x, y)
			i++
		}
	}
}

// topology returns who is connected to whom now, of those that live.
func (b *bus) topology() oracle {
	o := newOracle()
	for _, n := range b.nodes {
		if n.dead {
			continue
		}
		o.node(n.addr)
		for _, w := range n.wires {
			if !w.to.dead && !w.cut {
				o.announce(n.addr, w.to.addr)
			}
		}
	}
	o.compute()
	return o
}

// settled compares the routes of all members with what the true topology
// gives, and follows them from everywhere to everywhere.
func (b *bus) settled(when string) {
	b.t.Helper()
	o := b.topology()
	byAddr := make(map[uint64]*node)
	for _, n := range b.nodes {
		byAddr[n.addr] = n
	}
	bad := 0
	for _, n := range b.nodes {
		if n.dead {
			continue
		}
		want := o.routes(n.addr, b.cfg.Policy)
		if msg := sameRoutes(n.routes, want, b.cfg.Policy); msg != "" {
			if bad++; bad < 5 {
				b.t.Errorf("%s, %v after the start: node %x: %s", when, b.now.Sub(time.Unix(1e9, 0)), n.addr, msg)
			}
		}
		for dst := range want {
			at, hops := n, 0
			for ; at.addr != dst && hops <= len(b.nodes); hops++ {
				next := at.routes[dst]
				if len(next) == 0 {
					break
				}
				at = byAddr[next[b.rng.IntN(primaries(b.cfg.Policy, next))]]
			}
			if at.addr != dst && bad < 5 {
				bad++
				b.t.Errorf("%s: from %x to %x: packet stops at %x after %d hops", when, n.addr, dst, at.addr, hops)
			}
		}
	}
	if bad > 0 {
		b.t.FailNow()
	}
}

// primaries is how many of the next hops are used when all are up.
func primaries(p Policy, next []uint64) int {
	if p == ECMP {
		return len(next)
	}
	return 1
}

// sameRoutes compares; the order of what comes behind the first hop, and of
// ECMP, depends on history.
func sameRoutes(got, want map[uint64][]uint64, p Policy) string {
	for dst, w := range want {
		g, ok := got[dst]
		if !ok {
			return fmt.Sprintf("no route to %x, want %x", dst, w)
		}
		if p != ECMP && g[0] != w[0] {
			return fmt.Sprintf("route to %x by %x, want %x", dst, g, w)
		}
		g, w = slices.Sorted(slices.Values(g)), slices.Sorted(slices.Values(w))
		if !slices.Equal(g, w) {
			return fmt.Sprintf("route to %x by %x, want %x", dst, g, w)
		}
	}
	for dst, g := range got {
		if _, ok := want[dst]; !ok {
			return fmt.Sprintf("route to %x by %x, want none", dst, g)
		}
	}
	return ""
}
