// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

// epoch is when simulated layers begin.
var epoch = time.Unix(1790000000, 0)

// machine is a member on a bus: a DHT, or something that behaves like a C node.
type machine interface {
	Receive(now time.Time, msg []byte)
	Tick(now time.Time)
	Deadline() time.Time
	Drain(send func(to uint64, msg []byte), found func(id uint64, addrs []uint64))
}

// bus is a layer without anything but directories: messages take a while, or
// are lost. Time is fake.
type bus struct {
	t     testing.TB
	seed  uint64
	rng   *rand.Rand
	now   time.Time
	nodes map[uint64]*member
	queue events
	seq   int

	loss float64                                     // of messages
	drop func(n int, from, to uint64, m []byte) bool // n: how many were sent before
	sent int
}

// member is a node on a bus.
type member struct {
	machine
	d      *DHT // nil if it is another machine
	addr   uint64
	wake   time.Time
	found  map[uint64][]uint64
	lastID uint64
}

// event is the arrival of a message, or (msg nil) a deadline.
type event struct {
	at  time.Time
	seq int
	to  uint64
	msg []byte
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newBus(t testing.TB, seed uint64) *bus {
	b := &bus{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, nodes: make(map[uint64]*member)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return b
}

// Read makes the bus the source of randomness of its nodes.
func (b *bus) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b.rng.Uint32())
	}
	return len(p), nil
}

const hashLen = 32

// key returns a random key or id.
func (b *bus) key() layer.Hash {
	id := make([]byte, hashLen)
	b.Read(id)
	return layer.Hash(id)
}

// add makes a DHT node with a random address. configure may be nil.
func (b *bus) add(configure func(*Config)) *member {
	cfg := Config{Self: b.rng.Uint64()>>32 | 1, ID: []byte(b.key()), Rand: b}
	if configure != nil {
		configure(&cfg)
	}
	d := New(cfg, b.now)
	return b.attach(cfg.Self, d, d)
}

func (b *bus) attach(addr uint64, m machine, d *DHT) *member {
	n := &member{machine: m, d: d, addr: addr, found: make(map[uint64][]uint64)}
	b.nodes[addr] = n
	return n
}

// do has a member do something and brings what comes of it onto the bus.
func (b *bus) do(n *member, f func()) {
	f()
	n.Drain(func(to uint64, msg []byte) {
		b.sent++
		if b.loss > 0 && b.rng.Float64() < b.loss || b.drop != nil && b.drop(b.sent-1, n.addr, to, msg) {
			return
		}
		delay := time.Millisecond + time.Duration(b.rng.Int64N(int64(40*time.Millisecond)))
		b.push(event{at: b.now.Add(delay), to: to, msg: append([]byte(nil), msg...)})
	}, func(id uint64, addrs []uint64) {
		if _, ok := n.found[id]; ok {
			b.t.Errorf("look-up %d was answered twice", id)
		}
		n.found[id] = addrs
	})
	if at := n.Deadline(); !at.IsZero() && !at.Equal(n.wake) {
		if at.Before(b.now) {
			at = b.now
		}
		n.wake = at
		b.push(event{at: at, to: n.addr})
	}
}

func (b *bus) push(e event) {
	b.seq++
	e.seq = b.seq
	heap.Push(&b.queue, e)
}

// run lets time pass.
func (b *bus) run(d time.Duration) { b.until(b.now.Add(d), func() bool { return false }) }

// until lets time pass until a condition holds, at most until end.
func (b *bus) until(end time.Time, ok func() bool) bool {
	for !ok() {
		if len(b.queue) == 0 || b.queue[0].at.After(end) {
			b.now = end
			return false
		}
		e := heap.Pop(&b.queue).(event)
		b.now = e.at
		n := b.nodes[e.to]
		switch {
		case n == nil: // left without notice
		case e.msg != nil:
			b.do(n, func() { n.Receive(b.now, e.msg) })
		case e.at.Equal(n.wake):
			n.wake = time.Time{}
			b.do(n, func() { n.Tick(b.now) })
		}
	}
	return true
}

// leave removes a member without notice.
func (b *bus) leave(n *member) { delete(b.nodes, n.addr) }

func (b *bus) join(n *member, peer uint64) { b.do(n, func() { n.d.Join(b.now, peer) }) }

func (b *bus) register(n *member, key layer.Hash) { b.do(n, func() { n.d.Register(b.now, key) }) }

// lookup looks a name up and waits for the answer.
func (b *bus) lookup(n *member, key layer.Hash) (addrs []uint64, took time.Duration) {
	b.t.Helper()
	n.lastID++
	id := n.lastID
	start := b.now
	b.do(n, func() { n.d.Lookup(b.now, id, key) })
	if !b.until(start.Add(lookupLife), func() bool { _, ok := n.found[id]; return ok }) {
		b.do(n, func() { n.Tick(b.now) })
	}
	addrs, ok := n.found[id]
	if !ok {
		b.t.Fatalf("no answer to a look-up after %v", lookupLife)
	}
	return addrs, b.now.Sub(start)
}

// grow makes a layer of n nodes, each of which joins by way of a member, every so often.
func (b *bus) grow(n int, every time.Duration, configure func(*Config)) []*member {
	var all []*member
	for i := range n {
		m := b.add(configure)
		if i > 0 {
			b.join(m, all[b.rng.IntN(i)].addr)
		}
		all = append(all, m)
		b.run(every)
	}
	return all
}

// value returns an address as it travels.
func value(addr uint64) []byte { return binary.BigEndian.AppendUint64(nil, addr) }
