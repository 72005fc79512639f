// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"math/rand/v2"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// TestRTTArithmetic follows spec 30 §3.9 by hand.
func TestRTTArithmetic(t *testing.T) {
	const ms = time.Millisecond
	r := rtt{plain: true}
	want(t, r.rto(), time.Second)
	for _, c := range []struct{ sample, srtt, mdev, rto time.Duration }{
		{10 * ms, 10 * ms, 5 * ms, 30 * ms},                    // first: mdev is half; 4·5 > 15
		{18 * ms, 11 * ms, 5750000, 34 * ms},                   // d 8, srtt +1, mdev +(8−5)/4
		{11 * ms, 11 * ms, 5750000 - 179688, 33281248},         // d 0, mdev down by an eighth of (0−5.75)/4, rounded down
		{3 * ms, 10 * ms, 5570312 + 607422, 34710936},          // d −8
		{10 * ms, 10 * ms, 6177734 - 193055, 10*ms + 23938716}, // d 0
	} {
		r.sample(0, c.sample)
		if r.srtt != c.srtt || r.mdev != c.mdev || r.rto() != c.rto {
			t.Errorf("sample %v: srtt %v mdev %d rto %v", c.sample, r.srtt, r.mdev, r.rto())
		}
	}
	r.backoff = 3
	want(t, r.rto(), 8*(10*ms+23938716))
	r.backoff = 60
	want(t, r.rto(), maxRTO)
}

func TestFIFO(t *testing.T) {
	var q fifo
	rng := rand.New(rand.NewPCG(1, 1))
	var model []*packet.Buffer
	b := make([]*packet.Buffer, 40)
	for range 2000 {
		if rng.IntN(2) == 0 {
			for range rng.IntN(30) {
				x := new(packet.Buffer)
				q.push(x)
				model = append(model, x)
			}
			continue
		}
		n := q.pop(b[:rng.IntN(40)])
		for i := range n {
			if b[i] != model[i] {
				t.Fatal("out of order")
			}
		}
		model = model[n:]
		if q.count != len(model) {
			t.Fatalf("%d left, want %d", q.count, len(model))
		}
	}
}

// An ordered-only flow between ours is not held up by a window of 256 on a long path.
func TestOrderedWindowGrows(t *testing.T) {
	cfg := Config{Extended: true, Initial: 0xffffff00}
	a, b := New(cfg), New(cfg)
	l := path{delay: 50 * time.Millisecond, rate: 500 * mbit, queue: 1000000, loss: 0.01}
	w := newBus(t, 1, a, b, l, l)
	w.b.gap = true
	w.a.write, w.a.writeStep = 100000, 40*time.Microsecond // 280 Mbit/s
	start := w.now
	if !w.run(time.Minute, func() bool { return w.a.write == 0 && len(w.fly) == 0 }) {
		t.Fatal(describe(a))
	}
	if took := w.now - start; took > 5*time.Second || w.b.got < 99000 {
		t.Errorf("%v, read up to %d", took, w.b.got)
	}
}

// A lent packet is the Endpoint's own until the next call.
func TestLend(t *testing.T) {
	for _, reliable := range []bool{true, false} {
		p := newPipe(reliable, true, None{})
		sent, read := 0, 0
		for range 1000 {
			sent += 64
			read += p.turn(100)
		}
		if sent != read {
			t.Errorf("reliable %v: sent %d, read %d", reliable, sent, read)
		}
	}
}

// Nothing is allocated per packet on a path that loses, either.
func TestNoAllocationWithLoss(t *testing.T) {
	p := newPipe(true, false, NewBBR(1412))
	n := 0
	p.lose = func() bool { n++; return n%50 == 0 }
	for range 3000 {
		p.turn(1400)
	}
	if n := testing.AllocsPerRun(500, func() { p.turn(1400) }); n > 0.1 {
		t.Errorf("%v allocations per batch", n)
	}
	if p.a.Stats().Retransmitted == 0 {
		t.Error("nothing was lost")
	}
}

// A window grows as far as packets and bytes allow, so that a reader who then stops
// holds a bounded amount.
func TestWindowIsBounded(t *testing.T) {
	for size, want := range map[int]int{100: DefaultMaxWindow, 1400: DefaultMaxWindow, 8900: 2048, 60000: 512} {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), nil)
		l := path{delay: 20 * time.Millisecond, rate: 10000 * mbit}
		w := newBus(t, 1, a, b, l, l)
		w.a.size = func(uint64) int { return size }
		w.a.write = 4 * DefaultMaxWindow
		w.mustDeliver(time.Minute)
		if got := b.Stats().Window; got != want {
			t.Errorf("packets of %d bytes: a window of %d, want %d", size, got, want)
		}
	}
}

// Endpoints that share a Budget leave each other what they do not need, and give
// it back.
func TestBudget(t *testing.T) {
	budget := NewBudget(int64(3 * plainWindow * usualPacket))
	flow := func() (*Endpoint, *Endpoint) {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), nil)
		b.cfg.Budget = budget
		l := path{delay: 20 * time.Millisecond, rate: 1000 * mbit}
		w := newBus(t, 1, a, b, l, l)
		w.a.write = 20000
		w.mustDeliver(time.Minute)
		return a, b
	}
	a, first := flow()
	if got := first.Stats().Window; got != 4*plainWindow {
		t.Errorf("the first has a window of %d", got)
	}
	a.Close()
	a, second := flow()
	if got := second.Stats().Window; got != plainWindow {
		t.Errorf("the second has a window of %d, and nothing was left", got)
	}
	a.Close()
	second.Close()
	first.Close()
	first.Close()
	if got := budget.left.Load(); got != 3*plainWindow*usualPacket {
		t.Errorf("%d bytes are left", got)
	}
}

// Short packets make a window wide, long ones follow, and nobody reads: what is kept is
// bounded, and in the end all arrives.
func TestLongPacketsInAWideWindow(t *testing.T) {
	for _, loss := range []float64{0, 0.02} {
		cfg := Config{Reliable: true, Extended: true, MPL: 100 * time.Millisecond, MaxWindow: 1024}
		a, b := New(cfg), New(cfg)
		l := path{delay: 20 * time.Millisecond, rate: 1000 * mbit, loss: loss}
		w := newBus(t, 1, a, b, l, l)
		w.a.size = func(i uint64) int {
			if i < 20000 {
				return 100
			}
			return 60000
		}
		w.a.write = 20000
		w.mustDeliver(time.Minute)
		if b.Stats().Window != 1024 {
			t.Fatalf("the window is %d", b.Stats().Window)
		}
		w.a.write = 1500
		w.b.readNext = w.now + 5*time.Second
		most := 0
		w.run(5*time.Second, func() bool {
			most = max(most, b.rcv.unread.bytes+b.rcv.held)
			return false
		})
		if most < maxWindowBytes || most > 2*(maxWindowBytes+60000) {
			t.Errorf("loss %v: kept %d bytes, of at most twice %d", loss, most, maxWindowBytes)
		}
		w.mustDeliver(time.Minute)
		if b.rcv.unread.bytes != 0 || b.rcv.held != 0 {
			t.Errorf("loss %v: %d and %d bytes of nothing", loss, b.rcv.unread.bytes, b.rcv.held)
		}
	}
}
