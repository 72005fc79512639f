// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

func TestDelivery(t *testing.T) {
	for _, c := range []struct {
		name string
		p    path
	}{
		{"clean", path{delay: time.Millisecond}},
		{"no delay", path{}},
		{"loss 1 %", path{delay: 10 * time.Millisecond, loss: 0.01}},
		{"loss 10 %", path{delay: 10 * time.Millisecond, loss: 0.10}},
		{"loss 30 %", path{delay: 10 * time.Millisecond, loss: 0.30}},
		{"bursts", path{delay: 10 * time.Millisecond, loss: 0.005, burst: 20}},
		{"reordering", path{delay: 10 * time.Millisecond, reorder: 0.1, late: 5 * time.Millisecond}},
		{"far reordering", path{delay: 5 * time.Millisecond, reorder: 0.05, late: 100 * time.Millisecond}},
		{"duplicates", path{delay: 10 * time.Millisecond, duplicate: 0.3}},
		{"500 ms", path{delay: 500 * time.Millisecond, loss: 0.02}},
		{"everything", path{delay: 20 * time.Millisecond, jitter: 10 * time.Millisecond, loss: 0.05, burst: 3, duplicate: 0.05, reorder: 0.05, late: 30 * time.Millisecond, rate: 100 * mbit, queue: 500000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, cc := range []func() Congestion{nil, bbr} {
				for seed := range uint64(3) {
					a, b := ours(rand.New(rand.NewPCG(seed, 2)), cc)
					w := newBus(t, seed, a, b, c.p, c.p)
					w.a.write, w.b.write = 1500, 500
					took := w.mustDeliver(10 * time.Minute)
					t.Logf("seed %d: %v, sent again %d, lost %d, duplicates %d, timeouts %d, probes %d, control %d", seed, took, a.stats.Retransmitted, w.a.out.lost,
						b.stats.Duplicates, a.stats.Timeouts, a.stats.Probes, b.stats.SentControl)
				}
			}
		})
	}
}

// The figure that the project asks for: 1 Gbit/s, 20 ms, 1 % random loss,
// packets of 1400 bytes.
func TestRandomLossDoesNotCollapse(t *testing.T) {
	packets := 40000
	if os.Getenv("O7S_FRCP_GIGABYTES") != "" { // without the beginning
		packets = 2000000
	}
	for _, oneWay := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond} {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), bbr)
		p := path{delay: oneWay, loss: 0.01, rate: 1000 * mbit, queue: 2500000}
		back := p
		w := newBus(t, 1, a, b, p, back)
		w.a.write = packets
		w.b.lastRead = w.now
		took := w.mustDeliver(time.Minute)
		rate := float64(w.b.gotBytes) * 8 / took.Seconds()
		// Mathis: MSS/RTT · sqrt(3/2)/sqrt(p).
		reno := 1400 * 8 / (2 * oneWay).Seconds() * math.Sqrt(1.5/0.01)
		t.Logf("RTT %v: %.0f Mbit/s, Reno would have %.1f: %.0f times; longest stall %v; %+v", 2*oneWay, rate/1e6, reno/1e6, rate/reno, w.b.longest, a.Stats())
		if rate < 10*reno {
			t.Errorf("RTT %v: %.0f Mbit/s", 2*oneWay, rate/1e6)
		}
		if w.b.longest > time.Second {
			t.Errorf("stalled for %v", w.b.longest)
		}
	}
}

// A path that carries nothing for half a minute: nothing is lost, little is sent
// meanwhile, and it goes on soon after.
func TestBlackOut(t *testing.T) {
	for _, cc := range []func() Congestion{nil, bbr} {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), cc)
		l := path{delay: 10 * time.Millisecond, rate: 100 * mbit, queue: 1000000}
		from := time.Hour + 500*time.Millisecond
		l.down = func(now time.Duration) bool { return now >= from && now < from+30*time.Second }
		w := newBus(t, 1, a, b, l, l)
		w.a.write, w.b.write = 20000, 20000
		w.run(500*time.Millisecond, w.delivered)
		sent := a.stats.SentPackets
		w.run(29*time.Second, w.delivered)
		if n := a.stats.SentPackets - sent; n > 2000 {
			t.Errorf("sent %d packets into the void", n)
		}
		w.run(time.Second, w.delivered)
		before := w.b.got
		w.run(1500*time.Millisecond, w.delivered)
		if w.b.got == before {
			t.Errorf("nothing came in the 1.5 s after: %s", describe(a))
		}
		w.mustDeliver(20 * time.Second)
		t.Logf("sent again %d, timeouts %d", a.stats.Retransmitted, a.stats.Timeouts)
	}
}

// A reader that stops closes the window, and opens it again; the updates may be lost.
func TestSlowReader(t *testing.T) {
	for _, loss := range []float64{0, 0.2} {
		for name, pair := range map[string]func() (machine, machine){
			"ours":      func() (machine, machine) { a, b := ours(rand.New(rand.NewPCG(1, 2)), bbr); return a, b },
			"we read":   func() (machine, machine) { p := newPrototype(1, true); p.asks = false; return p, plain(true, 1) },
			"we write":  func() (machine, machine) { return plain(true, 1), newPrototype(1, true) },
			"unordered": func() (machine, machine) { return plain(false, 1), plain(false, 2) },
		} {
			if name == "we read" && loss > 0.1 {
				continue // the prototype gives up at that loss (FR-12)
			}
			a, b := pair()
			l := path{delay: 2 * time.Millisecond, loss: loss}
			w := newBus(t, 1, a, b, l, l)
			w.b.gap = name == "unordered"
			w.a.write = 3000
			w.b.readStep = time.Millisecond
			w.b.readNext = w.now + 3*time.Second // nothing at first
			done := w.delivered
			if w.b.gap {
				done = func() bool { return w.a.write == 0 && b.Readable() == 0 && len(w.fly) == 0 }
			}
			if !w.run(2*time.Minute, done) {
				t.Fatalf("%s, loss %v: read %d of %d\n%s\n%s", name, loss, w.b.got, w.a.written, describe(a), describe(b))
			}
		}
	}
}

// Hours of a flow that says little, with the wrap of the numbers in it.
func TestSequenceWrap(t *testing.T) {
	for _, initial := range []uint32{0xffffff00, 0x7fffff00, 0x00ffff00} {
		cfg := Config{Reliable: true, Extended: true, Initial: initial, MPL: time.Millisecond}
		a, b := New(cfg), New(cfg)
		l := path{delay: 10 * time.Millisecond, loss: 0.05, reorder: 0.05, late: 20 * time.Millisecond, duplicate: 0.05}
		w := newBus(t, 1, a, b, l, l)
		w.a.write, w.b.write = 2000, 2000
		w.mustDeliver(time.Minute)
	}
	a, b := ours(rand.New(rand.NewPCG(1, 2)), nil)
	l := path{delay: 10 * time.Millisecond, loss: 0.05}
	w := newBus(t, 1, a, b, l, l)
	w.a.write, w.a.writeStep = 100, 10*time.Minute
	w.b.reply = true
	w.mustDeliver(24 * time.Hour)
}

// A fast and a slow direction: acknowledgements share the slow one with data.
func TestAsymmetric(t *testing.T) {
	a, b := ours(rand.New(rand.NewPCG(1, 2)), bbr)
	w := newBus(t, 1, a, b, path{delay: 5 * time.Millisecond, rate: 100 * mbit, queue: 500000}, path{delay: 50 * time.Millisecond, rate: 2 * mbit, queue: 100000})
	w.a.write, w.b.write = 50000, 500
	took := w.mustDeliver(time.Minute)
	// The data the other way stands in the queue with the acknowledgements.
	if rate := float64(w.b.gotBytes) * 8 / took.Seconds() / 1e6; rate < 30 {
		t.Errorf("%.0f of 100 Mbit/s", rate)
	} else {
		t.Logf("%.0f Mbit/s", rate)
	}
}

// A bottleneck with a small queue: the model must not lose much there.
func TestShallowQueue(t *testing.T) {
	for _, queue := range []int{50000, 250000, 2500000} {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), bbr)
		w := newBus(t, 1, a, b, path{delay: 10 * time.Millisecond, rate: 100 * mbit, queue: queue}, path{delay: 10 * time.Millisecond})
		w.a.write = 20000
		took := w.mustDeliver(time.Minute)
		rate := float64(w.b.gotBytes) * 8 / took.Seconds() / 1e6
		t.Logf("queue %d bytes: %.0f Mbit/s, %d lost of %d, duplicates %d, timeouts %d", queue, rate, w.a.out.lost, w.a.out.carried, b.stats.Duplicates, a.stats.Timeouts)
		if rate < 70 || w.a.out.lost > w.a.out.carried/8 {
			t.Errorf("queue %d bytes: %.0f Mbit/s, %d lost", queue, rate, w.a.out.lost)
		}
	}
}

// A long path that loses nothing: the window grows to what it needs, though each packet
// arrives in order and is read at once.
func TestLongPathIsFilled(t *testing.T) {
	for name, cc := range map[string]func() Congestion{"none": nil, "BBR": bbr} {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), cc)
		l := path{delay: 10 * time.Millisecond, rate: 1000 * mbit, queue: 2500000}
		w := newBus(t, 1, a, b, l, l)
		w.a.write = 100000
		took := w.mustDeliver(time.Minute)
		rate := float64(w.b.gotBytes) / took.Seconds() / mbit
		t.Logf("congestion control %s: %.0f of 1000 Mbit/s, window %d", name, rate, b.Stats().Window)
		if rate < 700 {
			t.Errorf("congestion control %s: %.0f Mbit/s", name, rate)
		}
	}
}

// A short path that was slow for a while: the model's window is then smaller than
// the number of packets for which the receiver acknowledges at once, and each window would
// take as long as an acknowledgement may wait, for ever.
func TestRecoversFromSlowness(t *testing.T) {
	const fast = 5000 * mbit
	for _, late := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond} {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), bbr)
		w := newBus(t, 1, a, b, path{delay: 15 * time.Microsecond, rate: 20 * mbit, queue: 1000000}, path{delay: 15 * time.Microsecond})
		w.lazy = late
		w.a.write = 500
		w.mustDeliver(time.Minute)
		w.a.out.rate = fast
		w.a.write = 50000
		begin, slow := w.now, w.b.gotBytes
		w.mustDeliver(time.Minute)
		rate := float64(w.b.gotBytes-slow) / (w.now - begin).Seconds()
		t.Logf("timers %v late: %.0f Mbit/s, asked %d times", late, rate/mbit, a.stats.Rendezvous)
		if rate < fast/4 {
			t.Errorf("timers %v late: %.0f Mbit/s", late, rate/mbit)
		}
	}
}

// Short and fast paths, with timers that are late.
func TestShortPaths(t *testing.T) {
	for _, c := range []struct {
		delay, lazy time.Duration
		rate        float64
		loss        float64
	}{
		{50 * time.Microsecond, 0, 5000 * mbit, 0},
		{50 * time.Microsecond, 100 * time.Microsecond, 5000 * mbit, 0},
		{50 * time.Microsecond, time.Millisecond, 5000 * mbit, 0},
		{50 * time.Microsecond, time.Millisecond, 5000 * mbit, 0.01},
		{10 * time.Millisecond, time.Millisecond, 1000 * mbit, 0.01},
	} {
		a, b := ours(rand.New(rand.NewPCG(1, 2)), bbr)
		l := path{delay: c.delay, rate: c.rate, queue: 1000000, loss: c.loss}
		w := newBus(t, 1, a, b, l, l)
		w.lazy = c.lazy
		w.a.write = 40000
		took := w.mustDeliver(time.Minute)
		rate := float64(w.b.gotBytes) / took.Seconds()
		t.Logf("%v, timers %v late, loss %v: %.0f of %.0f Mbit/s, RTT %v, longest stall %v, sent again %d, lost %d, timeouts %d, probes %d", c.delay, c.lazy, c.loss, rate/mbit, c.rate/mbit,
			a.Stats().RTT, w.b.longest, a.stats.Retransmitted, w.a.out.lost, a.stats.Timeouts, a.stats.Probes)
		if rate < c.rate/4 {
			t.Errorf("%v, timers %v late, loss %v: %.0f of %.0f Mbit/s", c.delay, c.lazy, c.loss, rate/mbit, c.rate/mbit)
		}
	}
}
