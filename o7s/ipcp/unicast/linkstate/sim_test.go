// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"fmt"
	"testing"
	"time"
)

var policies = []Policy{Simple, LFA, ECMP}

// Members of a layer come, and then lose and find links; both ends notice.
func TestSimulatedLayer(t *testing.T) {
	for _, n := range []int{3, 10, 30, 100} {
		for _, p := range policies {
			if n == 100 && p != ECMP { // it has the most routes; the oracle is slow
				continue
			}
			t.Run(fmt.Sprintf("%d nodes, policy %d", n, p), func(t *testing.T) {
				b := newBus(t, uint64(n)*10+uint64(p))
				b.cfg.Policy = p
				b.random(n, n/2)
				b.run(2 * time.Second)
				b.settled("after the start")
				for range 2 + 10/n {
					b.run(holdForget) // else the same link may be held down
					x := b.nodes[b.rng.IntN(n)]
					if len(x.wires) == 0 {
						continue
					}
					y := x.wires[b.rng.IntN(len(x.wires))].to
					b.disconnect(x, y)
					b.run(time.Second)
					b.settled("after a loss")
					b.connect(x, y)
					b.run(2 * time.Second)
					b.settled("after the return")
				}
			})
		}
	}
}

// A member dies. Its neighbours notice and say so, or do not notice: then its
// links age out.
func TestSimulatedDeath(t *testing.T) {
	for _, noticed := range []bool{true, false} {
		t.Run(fmt.Sprintf("noticed %v", noticed), func(t *testing.T) {
			b := newBus(t, 7)
			b.random(40, 30)
			b.run(20 * time.Second)
			b.settled("at first")
			x := b.nodes[b.rng.IntN(40)]
			b.kill(x)
			if noticed {
				b.bury(x)
				b.run(time.Second)
			} else {
				b.run(b.cfg.Timeout + time.Second)
			}
			b.settled("after the death")
		})
	}
}

// The layer falls in two, both halves change, and it grows together: when
// the connections are made again, and when they only fell silent.
func TestSimulatedPartition(t *testing.T) {
	for _, silent := range []time.Duration{0, 30 * time.Second, 3 * time.Minute} {
		t.Run(fmt.Sprintf("silent for %v", silent), func(t *testing.T) {
			b := newBus(t, 8)
			b.random(15, 8)
			b.random(15, 8)
			left, right := b.nodes[:15], b.nodes[15:]
			for i := range 3 {
				b.connect(left[i], right[i])
			}
			b.run(20 * time.Second)
			b.settled("at first")
			for i := range 3 {
				if silent > 0 {
					b.cut(left[i], right[i], true)
				} else {
					b.disconnect(left[i], right[i])
				}
			}
			b.run(silent)
			b.disconnect(left[5], left[5].wires[0].to)
			b.disconnect(right[6], right[6].wires[0].to)
			b.run(2 * time.Second)
			if silent == 0 {
				b.settled("in two halves")
			}
			for i := range 3 {
				if silent > 0 {
					b.cut(left[i], right[i], false)
				} else {
					b.connect(left[i], right[i])
				}
			}
			// What fell silent is repaired by the next announcements, and
			// withdrawals that were missed by ageing.
			if silent > 0 {
				b.run(b.cfg.Timeout + time.Second)
			} else {
				b.run(2 * time.Second)
			}
			b.settled("after healing")
		})
	}
}

// A member begins anew, with the same address or with another.
func TestSimulatedRestart(t *testing.T) {
	for _, same := range []bool{true, false} {
		for _, noticed := range []bool{true, false} {
			t.Run(fmt.Sprintf("same address %v, noticed %v", same, noticed), func(t *testing.T) {
				b := newBus(t, 9)
				b.random(30, 20)
				b.run(50 * time.Second)
				for range 5 {
					x := b.nodes[b.rng.IntN(len(b.nodes))]
					peers := x.neighbours()
					b.kill(x)
					if noticed {
						b.bury(x)
						b.run(time.Duration(b.rng.IntN(int(3 * time.Second))))
					} else {
						b.bury(x) // only now, with the new life
					}
					if !same {
						x.addr = uint64(b.rng.Uint32() | 1)
					}
					b.start(x)
					for _, p := range peers {
						b.connect(x, p)
					}
					b.run(3 * time.Second)
					b.settled("after a restart")
					if s := x.m.(*State); s.Collision() {
						t.Error("own past taken for a collision")
					}
					b.run(2 * b.cfg.Timeout)
					b.settled("long after a restart")
					if s := x.m.(*State); s.Collision() {
						t.Error("own past taken for a collision")
					}
				}
			})
		}
	}
}

// A link that flaps is left out until it is stable, and costs others little.
func TestSimulatedFlapping(t *testing.T) {
	b := newBus(t, 10)
	b.random(20, 20)
	b.run(2 * time.Second)
	x := b.nodes[3]
	y := x.wires[0].to
	far := b.nodes[10].m.(*State)
	before, sent := far.Stats().Recomputations, b.sent
	const flaps = 500
	for range flaps {
		b.do(x, func(now time.Time) { x.m.LinkDown(now, y.addr) })
		b.run(20 * time.Millisecond)
		b.do(x, func(now time.Time) { x.m.LinkUp(now, y.addr) })
		b.run(50 * time.Millisecond)
	}
	if n := far.Stats().Recomputations - before; n > 4 {
		t.Errorf("%d recomputations for %d flaps", n, flaps)
	}
	if n := b.sent - sent; n > 5000 {
		t.Errorf("%d packets for %d flaps", n, flaps)
	}
	b.run(holdMax + time.Second)
	b.settled("when it is stable")
}

// A twentieth of the packets gets lost, all the time, while links come and go.
func TestSimulatedLoss(t *testing.T) {
	for _, p := range policies {
		t.Run(fmt.Sprintf("policy %d", p), func(t *testing.T) {
			b := newBus(t, 20+uint64(p))
			b.cfg.Policy = p
			b.loss = 0.05
			b.random(60, 40)
			b.run(2*DefaultUpdate + time.Second)
			b.settled("after the start")
			for range 3 {
				x := b.nodes[b.rng.IntN(60)]
				if len(x.wires) == 0 {
					continue
				}
				y := x.wires[b.rng.IntN(len(x.wires))].to
				b.disconnect(x, y)
				b.run(DefaultTimeout + time.Second)
				b.settled("after a loss")
				b.connect(x, y)
				b.run(2*DefaultUpdate + time.Second)
				b.settled("after the return")
			}
		})
	}
}

// A prototype stands between two halves of our members: it does not know
// withdrawals, so beyond it links end by ageing.
func TestSimulatedPrototype(t *testing.T) {
	b := newBus(t, 30)
	b.random(10, 5)
	c := b.add(true)
	b.random(10, 5)
	left, right := b.nodes[:10], b.nodes[11:]
	b.connect(left[0], c)
	b.connect(c, right[0])
	b.connect(right[1], c)
	b.run(3 * time.Second)
	b.settled("at first")
	old := 2*b.cfg.Update + b.cfg.Timeout + time.Second
	b.disconnect(left[3], left[3].wires[0].to)
	b.disconnect(right[4], right[4].wires[0].to)
	b.disconnect(c, right[1])
	b.run(old)
	b.settled("after losses")
	x := left[5]
	peers := x.neighbours()
	b.kill(x)
	b.bury(x)
	b.run(time.Second)
	b.start(x)
	for _, p := range peers {
		b.connect(x, p)
	}
	b.connect(c, right[1])
	b.run(old)
	b.settled("after a return")
	// Again and again, so that numbers of former lives are about.
	for range 5 {
		b.disconnect(c, right[1])
		b.run(5 * time.Second)
		b.connect(c, right[1])
		b.run(3 * time.Second)
		b.settled("after a short loss")
	}
}

// Anything happens, and then nothing: the end is right.
func TestSimulatedTrouble(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			b := newBus(t, 100+seed)
			b.cfg.Policy = policies[seed%3]
			b.loss = 0.05 * float64(seed%2)
			b.random(12, 6)
			for i := range 3 {
				c := b.add(true)
				b.connect(c, b.nodes[i])
				b.connect(c, b.nodes[i+5])
			}
			for range 60 {
				b.run(time.Duration(b.rng.ExpFloat64() * float64(3*time.Second)))
				x := b.nodes[b.rng.IntN(len(b.nodes))]
				y := b.nodes[b.rng.IntN(len(b.nodes))]
				switch w := x.wire(y); {
				case x == y || x.c && y.c || x.dead || y.dead:
				case w == nil:
					b.connect(x, y)
				case b.rng.IntN(3) == 0:
					b.cut(x, y, !w.cut)
				default:
					b.disconnect(x, y)
				}
				if b.rng.IntN(10) == 0 {
					b.kill(x)
					b.bury(x)
					if b.rng.IntN(2) == 0 {
						x.addr = uint64(b.rng.Uint32() | 1)
					}
					b.start(x)
				}
			}
			for _, n := range b.nodes { // what fell silent ends
				for i := 0; i < len(n.wires); {
					if w := n.wires[i]; w.cut {
						b.disconnect(n, w.to)
					} else {
						i++
					}
				}
			}
			b.run(b.cfg.Timeout + 3*b.cfg.Update)
			b.settled("in the end")
		})
	}
}
