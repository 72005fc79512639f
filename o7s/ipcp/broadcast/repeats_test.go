// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
)

func TestTriangle(t *testing.T) {
	a, b, c := testHub(), testHub(), testHub()
	connect(a, b)
	connect(b, c)
	connect(c, a)
	var ports []*app
	var readers []*reader
	for _, h := range []*hub{a, b, c} {
		for range 2 {
			p, r := joined(t, h)
			ports, readers = append(ports, p), append(readers, r)
		}
	}
	for i, p := range ports {
		for range 3 { // the same again is no repeat
			p.Send(packets(fmt.Sprint("from ", i)))
		}
		for j, r := range readers {
			got := r.take()
			if i == j && len(got) != 0 || i != j && len(got) != 3 {
				t.Errorf("application %d got %v of %d", j, got, i)
			}
		}
	}
	for i, h := range []*hub{a, b, c} {
		for _, n := range h.list.Load().all {
			if sent := n.stats.sent.packets.Load(); n.member && sent > 3*6 {
				t.Errorf("hub %d sent %d packets", i, sent)
			}
		}
	}
}

// What different members say within a short time is taken for one only where
// there may be a cycle.
func TestRepeatsInTree(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b, c := testHub(), testHub(), testHub()
		connect(a, b)
		connect(b, c)
		pa, ra := joined(t, a)
		pb, rb := joined(t, b)
		pc, rc := joined(t, c)
		for range 2 {
			pa.Send(packets("x"))
		}
		want(t, "b", rb, "x x")
		want(t, "c", rc, "x x")
		time.Sleep(repeatWindow * time.Millisecond)

		pb.Send(packets("own"))
		pa.Send(packets("own")) // stops at b
		pc.Send(packets("own"))
		want(t, "a", ra, "own")
		want(t, "b", rb, "")
		want(t, "c", rc, "own")
		time.Sleep((repeatWindow - 1) * time.Millisecond)
		pc.Send(packets("own"))
		want(t, "b", rb, "")
		time.Sleep(time.Millisecond)
		pc.Send(packets("own"))
		want(t, "a", ra, "own")
		want(t, "b", rb, "own")

		pb.Send(packets("own")) // what is said here always goes out
		want(t, "a", ra, "own")
		want(t, "c", rc, "own") // c has one connection and cannot be on a cycle
	})
}

// A source that has fallen silent is replaced.
func TestRepeatsOtherSource(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := testHub()
		_, r := joined(t, h)
		x, _ := far(h, &end{})
		y, _ := far(h, &end{})
		x.Send(packets("m"))
		y.Send(packets("m"))
		want(t, "application", r, "m")
		x.Close()
		z, _ := far(h, &end{})
		y.Send(packets("m")) // may still be the one of x
		want(t, "application", r, "")
		time.Sleep(repeatWindow * time.Millisecond)
		y.Send(packets("m"))
		z.Send(packets("m"))
		y.Send(packets("m"))
		want(t, "application", r, "m m")
	})
}

// A cycle that is made while a packet is under way, at a member that had one
// connection when it sent it.
func TestCycleMadeMeanwhile(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := sim.NewNetwork(1)
		defer n.Close()
		a, b, c := testHub(), testHub(), testHub()
		connect(a, b)
		x, y, slow := n.Pair(sim.Params{Delay: 50 * time.Millisecond})
		b.attach(&end{Port: x, ours: true})
		c.attach(&end{Port: y, ours: true})
		pa, ra := joined(t, a)
		_, rc := joined(t, c)
		pa.Send(packets("m"))
		connect(c, a)
		time.Sleep(time.Minute)
		want(t, "a", ra, "")
		want(t, "c", rc, "m")
		if sent := slow.Stats().Sent; sent > 2 {
			t.Errorf("%d packets over one connection", sent)
		}
		x.Close()
		y.Close()
	})
}

// Several neighbours bring the same at the same moment: one of them is its
// source.
func TestRepeatsConcurrent(t *testing.T) {
	const neighbours, rounds = 4, 5000
	h := testHub()
	_, r := joined(t, h)
	var ports [neighbours]layer.Port
	for i := range ports {
		ports[i], _ = far(h, &end{ours: true})
	}
	for i := range rounds {
		start := time.Now()
		var wg sync.WaitGroup
		for _, p := range ports {
			wg.Go(func() { p.Send(packets(fmt.Sprint(i))) })
		}
		wg.Wait()
		slow := time.Since(start) > repeatWindow/2*time.Millisecond
		if n := len(r.take()); n != 1 && !slow {
			t.Fatalf("round %d: came %d times", i, n)
		}
	}
}

func TestRepeatsForgetsOldest(t *testing.T) {
	r := newRepeats()
	var pass [1]bool
	see := func(sum uint64, source, now uint32) bool {
		r.checkLocked([]uint64{sum}, pass[:], source, false, now)
		return pass[0]
	}
	for i := range uint64(repeatWays) {
		if !see(i*repeatSets, 1, uint32(i)) {
			t.Fatal("new content is a repeat")
		}
	}
	see(0, 1, 100) // the second is the oldest now
	if !see(repeatWays*repeatSets, 1, 101) {
		t.Error("new content is a repeat")
	}
	if see(0, 2, 102) || !see(repeatSets, 2, 102) {
		t.Error("forgot the wrong one")
	}
	if see(0, 2, 100+repeatWindow-1) || !see(0, 2, 100+repeatWindow) {
		t.Error("window")
	}
	// The clock starts again.
	if !see(5, 1, ^uint32(0)-10) || see(5, 2, 10) || !see(5, 1, 20) {
		t.Error("wrong at the end of the clock")
	}
}
