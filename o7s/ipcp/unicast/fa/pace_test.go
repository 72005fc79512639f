// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// numbered returns packets of a size that begin with their numbers.
func numbered(from, n, size int) []*packet.Buffer {
	pkts := make([]*packet.Buffer, n)
	for i := range pkts {
		pkts[i] = packet.Get(size)
		pkts[i].Append(fmt.Appendf(nil, "%d ", from+i))
		pkts[i].Append(make([]byte, size-pkts[i].Len()))
	}
	return pkts
}

// numbers reads the numbers of packets.
func numbers(t *testing.T, got []string) []int {
	t.Helper()
	var all []int
	for _, s := range got {
		i := slices.Index([]byte(s), ' ')
		n, err := strconv.Atoi(s[:max(i, 0)])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// A fast sender is slowed down to the rate of its window, loses nothing
// that fits into the queue, and keeps order; a flow beside it is not delayed.
func TestPacing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		c2, s2 := dial(t, p.a, p.server, qos.Raw)
		f := p.client.(*flow)
		// In avoidance, at what the first slot allows: 3.9 MB/s.
		p.a.Manage(buffers(string(update{eid: f.eid}.append(nil))))
		rate := f.ca.Stats().Rate()

		var k, k2 sink
		p.accepted.Receive(&k)
		s2.Receive(&k2)
		start := time.Now()
		const n = 1000
		for i := 0; i < n; i += 100 {
			p.client.Send(numbered(i, 100, 1000))
		}
		c2.Send(buffers("urgent"))
		if len(k2.at) != 1 || k2.at[0] != start {
			t.Errorf("the other flow's packet arrived at %v", k2.at)
		}
		time.Sleep(2 * time.Second)
		got := numbers(t, k.packets())
		if len(got) != n || !slices.IsSorted(got) {
			t.Fatalf("%d packets arrived, in order: %v", len(got), slices.IsSorted(got))
		}
		took := k.at[n-1].Sub(start)
		// It grows by 3.9 MB/s a slot, since nothing is marked: 1 MB takes at most a
		// quarter of a second, and not less than 16 slots' growth permits.
		if most := time.Duration(n * 1000 / rate * float64(time.Second)); took > most || took < most/10 {
			t.Errorf("took %v, at a constant rate %v", took, most)
		}
		half := k.at[n/10].Sub(start)
		if even := time.Duration(n / 10 * 1000 / rate * float64(time.Second)); half < even/2 || half > 2*even {
			t.Errorf("the first tenth took %v, want about %v", half, even)
		}
		if f.waitingLocked() != 0 || f.bytes != 0 {
			t.Errorf("%d packets of %d bytes left", f.waitingLocked(), f.bytes)
		}
	})
}

// Marks slow a flow down, and when they end it recovers.
func TestMarksSlowDown(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		var arrived atomic.Int64
		p.accepted.Receive(receiver(func(pkts []*packet.Buffer) {
			arrived.Add(int64(len(pkts)))
			packet.ReleaseBatch(pkts)
		}))
		f := p.client.(*flow)
		p.mute.Store(true)
		sent := 0
		run := func(d time.Duration) (rate float64) {
			before := arrived.Load()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
				p.client.Send(numbered(sent, 50, 1000)) // 50 MB/s
				sent += 50
			}
			return float64(arrived.Load()-before) * 1000 / d.Seconds()
		}
		run(200 * time.Millisecond)
		if r := run(time.Second); r < 49e6 {
			t.Errorf("%.3g bytes/s without marks", r)
		}
		p.mark.Store(20)
		run(time.Second)
		if r := run(time.Second); r > 10e6 || f.updates.received.Load() == 0 {
			t.Errorf("%.3g bytes/s with marks, %+v", r, f.ca.Stats())
		}
		if d := f.dropped.full.Load(); d == 0 {
			t.Error("the queue has no bound")
		}
		p.mark.Store(0)
		run(2 * time.Second)
		if r := run(time.Second); r < 49e6 {
			t.Errorf("%.3g bytes/s when the marks have ended, %+v", r, f.ca.Stats())
		}
		// A report for every eighth packet.
		b := p.accepted.(*flow)
		if u, r := b.updates.sent.Load(), b.received.packets.Load(); u == 0 || u > r/8+10 {
			t.Errorf("%d reports for %d packets", u, r)
		}
	})
}

func TestQueueBound(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, size := range []int{100, 1400, 9000} {
			p := newPair(t, ca.MBECN, qos.Raw)
			p.mtu.Store(9000)
			f := p.client.(*flow)
			p.a.Manage(buffers(string(update{eid: f.eid}.append(nil))))
			for range 50 {
				p.client.Send(numbered(0, 128, size))
				f.mu.Lock()
				if f.waitingLocked() > maxQueue || f.bytes > maxQueueBytes+9000 || cap(f.queue) > 4*maxQueue {
					t.Fatalf("%d packets, %d bytes, room for %d", f.waitingLocked(), f.bytes, cap(f.queue))
				}
				f.mu.Unlock()
			}
			if got := f.sent.packets.Load() + f.dropped.full.Load() + uint64(f.waitingLocked()); got != 50*128 {
				t.Errorf("%d packets counted", got)
			}
			p.close()
			if f.waitingLocked() != 0 {
				t.Error("packets left behind Close")
			}
		}
	})
}

// What was sent before Close still arrives, and then the end.
func TestCloseLingers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		var k sink
		p.accepted.Receive(&k)
		p.client.Send(numbered(0, 1000, 1000))
		p.client.Close()
		if got := len(k.packets()); got == 1000 || len(k.seen()) != 0 {
			t.Fatalf("%d packets at once, events %v: nothing had to wait", got, k.seen())
		}
		time.Sleep(time.Second)
		if got := numbers(t, k.packets()); len(got) != 1000 || !slices.IsSorted(got) {
			t.Errorf("%d packets", len(got))
		}
		if got := k.seen(); !slices.Equal(got, []layer.Event{layer.Closed}) || p.a.Stats().Flows != 0 {
			t.Errorf("events %v, %+v", got, p.a.Stats())
		}
	})
}

// But not for ever.
func TestLingerEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		var k sink
		p.accepted.Receive(&k)
		f := p.client.(*flow)
		p.mark.Store(255)
		for range 100 {
			p.client.Send(numbered(0, 10, 1000))
			time.Sleep(100 * time.Millisecond)
		}
		p.client.Send(numbered(0, 2000, 1000))
		p.client.Close()
		time.Sleep(time.Duration(maxLinger) + time.Second)
		if got := k.seen(); !slices.Equal(got, []layer.Event{layer.Closed}) || p.a.Stats().Flows != 0 {
			t.Errorf("events %v, %+v, %+v", got, p.a.Stats(), f.ca.Stats())
		}
		if f.dropped.full.Load() == 0 {
			t.Error("nothing was dropped")
		}
	})
}

// echo sends everything back, from within.
type echo struct {
	port layer.Port
	left atomic.Int64
}

func (e *echo) Packets(pkts []*packet.Buffer) {
	if e.left.Add(int64(-len(pkts))) < 0 {
		release(pkts)
		return
	}
	e.port.Send(pkts)
}

func (e *echo) Event(layer.Event) {}

// Two ends that answer each other's packets from within neither deadlock nor
// grow the stack; pacing sees to it that it takes time.
func TestEchoFromWithin(t *testing.T) {
	for _, policy := range []ca.Policy{ca.None, ca.MBECN} {
		bubble.Test(t, func(t *testing.T) {
			p := newPair(t, policy, qos.Raw)
			defer p.close()
			p.mute.Store(true)
			ea, eb := &echo{port: p.client}, &echo{port: p.accepted}
			ea.left.Store(50_000)
			eb.left.Store(50_000)
			p.client.Receive(ea)
			p.accepted.Receive(eb)
			p.client.Send(buffers("x", "y"))
			time.Sleep(10 * time.Second)
			if ea.left.Load() > 0 && eb.left.Load() > 0 {
				t.Errorf("%v: the packets stopped with %d and %d left", policy, ea.left.Load(), eb.left.Load())
			}
		})
	}
}

// closer closes its own flow with the first packet.
type closer struct{ port layer.Port }

func (c *closer) Event(layer.Event) {}

func (c *closer) Packets(pkts []*packet.Buffer) {
	c.port.Send(pkts)
	c.port.Close()
}

func TestCloseFromWithin(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		var k sink
		p.client.Receive(&k)
		p.accepted.Receive(&closer{port: p.accepted})
		p.client.Send(buffers("x"))
		synctest.Wait()
		if got := k.packets(); !slices.Equal(got, []string{"x"}) {
			t.Errorf("received %q", got)
		}
		if got := k.seen(); !slices.Equal(got, []layer.Event{layer.Closed}) {
			t.Errorf("events %v", got)
		}
		if p.a.Stats().Flows+p.b.Stats().Flows != 0 {
			t.Errorf("%+v, %+v", p.a.Stats(), p.b.Stats())
		}
	})
}

// From several goroutines each one's order is kept, and nothing is lost
// uncounted; Close may come at any time.
func TestSendersAtOnce(t *testing.T) {
	p := newPair(t, ca.MBECN, qos.Raw)
	const senders, batches = 4, 50
	next := make([]int, senders)
	var mu sync.Mutex
	p.accepted.Receive(receiver(func(pkts []*packet.Buffer) {
		mu.Lock()
		defer mu.Unlock()
		for _, b := range pkts {
			var who, n int
			if _, err := fmt.Sscanf(string(b.Bytes()[:40]), "%d", &n); err != nil {
				t.Error(err)
			}
			who, n = n%senders, n/senders
			if n < next[who] {
				t.Errorf("sender %d: %d after %d", who, n, next[who])
			}
			next[who] = n + 1
		}
		release(pkts)
	}))
	var wg sync.WaitGroup
	for who := range senders {
		wg.Go(func() {
			for i := range batches {
				pkts := make([]*packet.Buffer, 10)
				for j := range pkts {
					pkts[j] = numbered((i*10+j)*senders+who, 1, 100)[0]
				}
				p.client.Send(pkts)
			}
		})
	}
	wg.Wait()
	f := p.client.(*flow)
	p.client.Close()
	p.close()
	if total := f.sent.packets.Load() + f.dropped.full.Load(); total > senders*batches*10 || total == 0 {
		t.Errorf("%d packets counted", total)
	}
}

// receiver is a receiver of packets alone.
type receiver func(pkts []*packet.Buffer)

func (r receiver) Packets(pkts []*packet.Buffer) { r(pkts) }
func (r receiver) Event(layer.Event)             {}

// A member is made, used and closed while packets wait: nothing is left.
func TestCloseWhilePaced(t *testing.T) {
	for range 20 {
		p := newPair(t, ca.MBECN, qos.Raw)
		p.accepted.Receive(&sink{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 20 {
				p.client.Send(numbered(0, 100, 1000))
			}
		})
		wg.Go(p.a.Close)
		wg.Wait()
		p.b.Close()
		if f := p.client.(*flow); f.waitingLocked() != 0 || f.armed {
			t.Fatal("packets wait behind Close")
		}
	}
}
