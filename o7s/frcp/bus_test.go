// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// machine is what the bus drives: an Endpoint, or a model of the prototype.
type machine interface {
	Send(now time.Duration, pkts []*packet.Buffer) int
	Room() int
	Receive(now time.Duration, pkts []*packet.Buffer)
	Read(now time.Duration, dst []*packet.Buffer) int
	Readable() int
	Tick(now time.Duration)
	Deadline() (time.Duration, bool)
	Drain(now time.Duration, dst []*packet.Buffer) int
	Err() error
}

// path is one direction of a simulated link. Probabilities are from 0 to 1.
type path struct {
	delay     time.Duration
	jitter    time.Duration // up to so much more; order is kept
	loss      float64
	burst     int     // a loss takes so many packets; 0: one
	duplicate float64 // probability of a second copy
	reorder   float64 // probability of being late by up to late
	late      time.Duration
	rate      float64 // bytes per second; 0: no limit
	queue     int     // bytes that wait for the rate; 0: no limit
	down      func(now time.Duration) bool
	tap       func(now time.Duration, b []byte) (lose bool)

	free    time.Duration // when the line is idle
	last    time.Duration // last arrival in order
	losing  int
	lost    int
	carried int
}

type arrivalEvent struct {
	at  time.Duration
	num uint64
	to  *node
	b   *packet.Buffer
}

type arrivals []arrivalEvent

func (a arrivals) Len() int { return len(a) }
func (a arrivals) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].num < a[j].num
}
func (a arrivals) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)   { *a = append(*a, x.(arrivalEvent)) }
func (a *arrivals) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// node is one end: a machine, what its application writes and how it reads.
type node struct {
	m    machine
	out  *path
	peer *node

	write     int    // packets still to be written
	written   uint64 // packets written
	size      func(i uint64) int
	writeNext time.Duration // not before
	writeStep time.Duration // between two packets; 0: as fast as they are taken

	got      uint64 // packets read
	gotBytes int64
	readNext time.Duration
	readStep time.Duration // between two packets; 0: at once
	gap      bool          // packets may be missing
	lastRead time.Duration
	longest  time.Duration // longest time between two reads
	scratch  [64]*packet.Buffer
	reply    bool // write one packet for each read

	fill func(p []byte)         // makes the content; nil: content
	take func(b *packet.Buffer) // takes what is read; nil: it is compared
}

// bus is two ends, two paths and a clock.
type bus struct {
	t    testing.TB
	now  time.Duration
	rng  *rand.Rand
	a, b *node
	fly  arrivals
	num  uint64
	lazy time.Duration // how late timers are
	// trims: the Endpoints are asked for memory all the time.
	trims bool
}

func newBus(t testing.TB, seed uint64, a, b machine, ab, ba path) *bus {
	w := &bus{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Hour}
	size := func(i uint64) int { return 1400 }
	w.a = &node{m: a, out: &ab, size: size}
	w.b = &node{m: b, out: &ba, size: size}
	w.a.peer, w.b.peer = w.b, w.a
	w.a.lastRead, w.b.lastRead = w.now, w.now
	return w
}

// noise is what packets carry.
var noise = func() []byte {
	p := make([]byte, 1<<17)
	rng := rand.New(rand.NewPCG(1, 12))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}()

// content returns what the i-th packet has to carry: no two packets near each other are
// alike.
func content(size int, i uint64) []byte {
	at := i * 7919 % uint64(len(noise)-1<<16)
	return noise[at : at+uint64(size)]
}

// app lets the application of n read and write.
func (w *bus) app(n *node) {
	for n.m.Readable() > 0 && n.readNext <= w.now {
		dst := n.scratch[:]
		if n.readStep > 0 {
			dst = dst[:1]
			n.readNext = w.now + n.readStep
		}
		k := n.m.Read(w.now, dst)
		for _, b := range dst[:k] {
			w.check(n, b)
		}
		packet.ReleaseBatch(dst[:k])
		n.longest = max(n.longest, w.now-n.lastRead)
		n.lastRead = w.now
		if n.reply {
			n.write += k
		}
	}
	for n.write > 0 && n.m.Room() > 0 && n.writeNext <= w.now {
		k := min(n.write, len(n.scratch), n.m.Room())
		if n.writeStep > 0 {
			k = 1
			n.writeNext = w.now + n.writeStep
		}
		for i := range k {
			size := n.size(n.written + uint64(i))
			b := packet.Get(size + HeaderLen)
			b.SetLen(size)
			if n.fill != nil {
				n.fill(b.Bytes())
			} else {
				copy(b.Bytes(), content(size, n.written+uint64(i)))
			}
			n.scratch[i] = b
		}
		took := n.m.Send(w.now, n.scratch[:k])
		packet.ReleaseBatch(n.scratch[took:k])
		n.written += uint64(took)
		n.write -= took
	}
}

// check compares a packet with what was written.
func (w *bus) check(n *node, b *packet.Buffer) {
	if n.take != nil {
		n.take(b)
		n.got++
		n.gotBytes += int64(b.Len())
		return
	}
	for {
		if n.got >= n.peer.written {
			w.t.Fatalf("%v: packet of %d bytes that was never written, or again", w.now, b.Len())
		}
		if b.Len() == n.peer.size(n.got) && bytes.Equal(content(b.Len(), n.got), b.Bytes()) {
			break
		}
		if !n.gap {
			w.t.Fatalf("%v: packet %d is wrong or out of order", w.now, n.got)
		}
		n.got++
	}
	n.got++
	n.gotBytes += int64(b.Len())
}

// turn lets an end do whatever it can at this moment.
func (w *bus) turn(n *node) {
	var dst [32]*packet.Buffer
	for {
		w.app(n)
		if e, ok := n.m.(*Endpoint); ok && w.trims {
			e.Trim()
		}
		k := n.m.Drain(w.now, dst[:])
		for _, b := range dst[:k] {
			w.carry(n, b)
		}
		if k == 0 {
			return
		}
	}
}

// carry puts a packet on the way.
func (w *bus) carry(n *node, b *packet.Buffer) {
	p := n.out
	lose := p.tap != nil && p.tap(w.now, b.Bytes()) || p.down != nil && p.down(w.now)
	if p.losing > 0 {
		p.losing--
		lose = true
	} else if p.loss > 0 && w.rng.Float64() < p.loss {
		lose = true
		p.losing = max(p.burst-1, 0)
	}
	p.carried++
	start := max(w.now, p.free)
	if p.rate > 0 {
		if p.queue > 0 && (start-w.now).Seconds()*p.rate > float64(p.queue) {
			lose = true
		} else {
			start += time.Duration(float64(b.Len()) / p.rate * 1e9)
			p.free = start
		}
	}
	if lose {
		p.lost++
		b.Release()
		return
	}
	at := start + p.delay
	if p.jitter > 0 {
		at += time.Duration(w.rng.Int64N(int64(p.jitter)))
	}
	if p.reorder > 0 && w.rng.Float64() < p.reorder {
		at += time.Duration(w.rng.Int64N(int64(p.late)))
	} else {
		at = max(at, p.last)
		p.last = at
	}
	if p.duplicate > 0 && w.rng.Float64() < p.duplicate {
		w.arrive(at+time.Duration(w.rng.Int64N(int64(p.delay+1))), n.peer, b.Clone())
	}
	w.arrive(at, n.peer, b)
}

func (w *bus) arrive(at time.Duration, to *node, b *packet.Buffer) {
	w.num++
	heap.Push(&w.fly, arrivalEvent{at, w.num, to, b})
}

// next returns when something happens next.
func (w *bus) next() time.Duration {
	at := never
	if len(w.fly) > 0 {
		at = w.fly[0].at
	}
	for _, n := range []*node{w.a, w.b} {
		if d, set := n.m.Deadline(); set {
			at = min(at, max(d+w.lazy, w.now))
		}
		if n.readStep > 0 && n.m.Readable() > 0 {
			at = min(at, n.readNext)
		}
		if n.writeStep > 0 && n.write > 0 && n.m.Room() > 0 {
			at = min(at, n.writeNext)
		}
	}
	return at
}

// run goes on until done, or until nothing happens any more or for limit.
func (w *bus) run(limit time.Duration, done func() bool) bool {
	end := w.now + limit
	w.turn(w.a)
	w.turn(w.b)
	stuck, batch := 0, make([]*packet.Buffer, 0, 64)
	for !done() {
		at := w.next()
		if at == never || at > end {
			w.now = end
			return done()
		}
		if at == w.now {
			if stuck++; stuck > 100000 {
				w.t.Fatalf("%v: the clock stands still", w.now)
			}
		} else {
			stuck = 0
		}
		w.now = at
		for _, n := range []*node{w.a, w.b} {
			batch = batch[:0]
			for len(w.fly) > 0 && w.fly[0].at <= w.now && w.fly[0].to == n && len(batch) < 64 {
				batch = append(batch, heap.Pop(&w.fly).(arrivalEvent).b)
			}
			busy := len(batch) > 0
			if busy {
				n.m.Receive(w.now, batch)
			}
			if d, set := n.m.Deadline(); set && d+w.lazy <= w.now {
				n.m.Tick(w.now)
				busy = true
			}
			if busy || n.readStep > 0 || n.writeStep > 0 {
				w.turn(n)
			}
		}
	}
	return true
}

// delivered returns a condition: all was written and read.
func (w *bus) delivered() bool {
	return w.a.write == 0 && w.b.write == 0 && w.a.got == w.b.written && w.b.got == w.a.written
}

// mustDeliver runs until everything has arrived.
func (w *bus) mustDeliver(limit time.Duration) time.Duration {
	w.t.Helper()
	start := w.now
	if !w.run(limit, w.delivered) {
		w.t.Fatalf("after %v: a wrote %d (left %d), b read %d; b wrote %d (left %d), a read %d\na: %v %s\nb: %v %s",
			limit, w.a.written, w.a.write, w.b.got, w.b.written, w.b.write, w.a.got,
			w.a.m.Err(), describe(w.a.m), w.b.m.Err(), describe(w.b.m))
	}
	return w.now - start
}

func describe(m machine) string {
	if e, ok := m.(*Endpoint); ok {
		return fmt.Sprintf("%+v", e.Stats())
	}
	p := m.(*prototype)
	return fmt.Sprintf("prototype: next %d una %d rwe %d, rnext %d rrwe %d, rto %v, %d timers", p.next, p.una, p.rwe, p.rnext, p.rrwe, p.rto, len(p.timers))
}

// ours returns a pair of Endpoints that know of each other.
func ours(rng *rand.Rand, cc func() Congestion) (a, b *Endpoint) {
	one := func() *Endpoint {
		cfg := Config{Reliable: true, Extended: true, Initial: rng.Uint32(), MPL: 100 * time.Millisecond}
		if cc != nil {
			cfg.Congestion = cc()
		}
		return New(cfg)
	}
	return one(), one()
}

func bbr() Congestion { return NewBBR(1412) }

const mbit = 1e6 / 8 // bytes per second
