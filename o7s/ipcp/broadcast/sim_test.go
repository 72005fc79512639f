// SPDX-License-Identifier: BSD-3-Clause

package broadcast_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/sim"
)

// cable is of 100 µs to 1.1 ms.
var cable = sim.Params{Delay: 100 * time.Microsecond, Jitter: time.Millisecond}

// tree makes a layer of hosts, each enrolled through and connected to the one that parent
// names.
func tree(t *testing.T, seed uint64, nodes int, p sim.Params, parent func(i int) int) *world {
	t.Helper()
	w := newWorld(t, seed, nodes)
	w.nodes[0].bootstrap()
	for i := 1; i < nodes; i++ {
		w.cable(i, parent(i), p)
		w.nodes[i].enroll(parent(i))
	}
	return w
}

func before(i int) int { return i - 1 }

func TestTrees(t *testing.T) {
	for _, shape := range []struct {
		name   string
		nodes  int
		parent func(int) int
	}{
		{"pair", 2, before},
		{"line", 3, before},
		{"long line", 30, before},
		{"star", 12, func(int) int { return 0 }},
		{"binary", 30, func(i int) int { return (i - 1) / 2 }},
		{"random", 30, func(i int) int { return rand.New(rand.NewPCG(7, uint64(i))).IntN(i) }},
	} {
		t.Run(shape.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := tree(t, 1, shape.nodes, cable, shape.parent)
				defer w.close()
				all := append(w.joinAll(), w.nodes[0].join()) // two on the first host
				all[len(all)-1].node = &node{num: 100}
				w.everybody(all, "hello")

				// The same message again is another message.
				from := all[shape.nodes-1]
				before := w.sent()
				for range 5 {
					from.send("again")
				}
				time.Sleep(travel)
				for _, m := range all {
					if n := m.count("again"); n != 5 && m != from {
						t.Errorf("host %d has it %d times", m.node.num, n)
					}
				}
				if got, want := w.sent()-before, uint64(5*(shape.nodes-1)); got < want || got > want+uint64(2*shape.nodes) { // and keepalives
					t.Errorf("%d packets sent for 5 messages", got)
				}
			})
		})
	}
}

// TestCycles: in a layer whose connections form cycles a message arrives once, and nothing
// goes round.
func TestCycles(t *testing.T) {
	for _, shape := range []struct {
		name  string
		nodes int
		links func(i, j int) bool // besides those of a line
	}{
		{"triangle", 3, func(i, j int) bool { return true }},
		{"ring", 8, func(i, j int) bool { return i == 0 && j == 7 }},
		{"mesh", 6, func(i, j int) bool { return true }},
		{"grid", 12, func(i, j int) bool { return j == i+4 }},
	} {
		t.Run(shape.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := tree(t, 2, shape.nodes, cable, before)
				defer w.close()
				for i := range shape.nodes {
					for j := i + 2; j < shape.nodes; j++ {
						if shape.links(i, j) {
							w.cable(i, j, cable)
							w.nodes[j].connect(i)
						}
					}
				}
				all := w.joinAll()
				w.everybody(all, "hello")
				before := w.sent()
				const messages = 50
				for i := range messages {
					all[0].send(fmt.Sprint("message ", i))
				}
				for range 3 {
					all[1].send("again")
				}
				time.Sleep(travel)
				for _, m := range all[2:] {
					for i := range messages {
						if n := m.count(fmt.Sprint("message ", i)); n != 1 {
							t.Errorf("host %d has message %d %d times", m.node.num, i, n)
						}
					}
					if n := m.count("again"); n != 3 {
						t.Errorf("host %d has the same again %d times, want 3", m.node.num, n)
					}
				}
				if got, most := w.sent()-before, uint64((messages+4)*2*len(w.links)); got > most {
					t.Errorf("%d packets sent for %d messages over %d links, at most %d make sense", got, messages+3, len(w.links), most)
				}
			})
		})
	}
}

// TestBothConnect: two members that connect to each other have two connections,
// which are a cycle.
func TestBothConnect(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := tree(t, 3, 3, cable, before)
		defer w.close()
		w.nodes[0].connect(1)
		w.nodes[1].connect(2)
		all := w.joinAll()
		w.everybody(all, "hello")
		w.nodes[0].disconnect(1)
		w.everybody(all, "after disconnect")
		w.nodes[1].disconnect(0)
		all[0].send("alone")
		time.Sleep(travel)
		if n := all[1].count("alone"); n != 0 {
			t.Errorf("came %d times over no connection", n)
		}
		w.nodes[1].connect(0)
		w.everybody(all, "connected again")
	})
}

// TestChangingGraph connects and disconnects members at random while messages are
// under way over slow cables. Some may be lost or come twice then, but none goes on.
func TestChangingGraph(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				slow := sim.Params{Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond}
				const nodes = 8
				w := tree(t, seed, nodes, slow, before)
				defer w.close()
				rng := rand.New(rand.NewPCG(seed, 0))
				var extra [][2]int
				for range 8 {
					i, j := rng.IntN(nodes), rng.IntN(nodes)
					if _, ok := w.links[[2]int{min(i, j), max(i, j)}]; !ok && i != j {
						w.cable(i, j, slow)
						extra = append(extra, [2]int{i, j})
					}
				}
				all := w.joinAll()
				for step := range 60 {
					e := extra[rng.IntN(len(extra))]
					for range 5 {
						all[rng.IntN(nodes)].send(fmt.Sprint("message ", rng.IntN(3*step+1)))
					}
					if rng.IntN(2) == 0 {
						w.nodes[e[0]].connect(e[1])
					} else {
						w.nodes[e[0]].disconnect(e[1])
					}
					time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
				}
				for _, e := range extra {
					w.nodes[e[0]].connect(e[1])
				}
				w.quiet()
				w.everybody(all, "hello")
			})
		})
	}
}

// quiet waits until nothing but keepalives is sent.
func (w *world) quiet() {
	w.t.Helper()
	time.Sleep(2 * time.Second)
	before := w.sent()
	const seconds = 10
	time.Sleep(seconds * time.Second)
	// Two keepalives a second in each direction of the connection of a cable, and a
	// quarter more.
	if got, most := w.sent()-before, uint64(seconds*len(w.links)*4*5/4); got > most {
		w.t.Errorf("%d packets in %d s with nothing to say, at most %d", got, seconds, most)
	}
}

// TestLinkCut: a cable is cut and mended. The neighbour is dropped and the
// connection made again without a human.
func TestLinkCut(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("silent ", silent), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := tree(t, 4, 4, cable, before)
				defer w.close()
				all := w.joinAll()
				w.everybody(all, "hello")
				l := w.links[[2]int{1, 2}]
				if silent {
					l.Set(sim.Params{Loss: 1})
				} else {
					l.SetUp(false)
				}
				time.Sleep(5 * time.Second)
				w.everybody(all[:2], "left")
				w.everybody(all[2:], "right")
				if n := w.nodes[1].neighbours(); n != 2 { // the application and host 0
					t.Errorf("%d neighbours", n)
				}
				l.Set(cable)
				l.SetUp(true)
				w.reaches(20*time.Second, all[0], all[3])
				w.everybody(all, "whole")
				w.quiet()
			})
		})
	}
}

// neighbours counts the entries in the RIB.
func (n *node) neighbours() int {
	list, err := n.irm.RIB().List(name(n.num) + "/neighbours")
	if err != nil {
		n.w.t.Error(err)
	}
	return len(list)
}

// TestRestart: a host in the middle is shut down and comes again; those who had
// connected to it find it by themselves.
func TestRestart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := tree(t, 5, 4, cable, before)
		defer w.close()
		all := w.joinAll()
		w.everybody(all, "hello")
		w.nodes[1].stop()
		time.Sleep(10 * time.Second)
		w.everybody(all[2:], "right")

		n := w.boot(1)
		n.plug(w.links[[2]int{0, 1}], 0)
		n.plug(w.links[[2]int{1, 2}], 2)
		n.enroll(0)
		all[1] = n.join()
		w.reaches(20*time.Second, all[0], all[3])
		w.everybody(all, "again")
	})
}

// TestLoss: a layer forms over cables that lose every twentieth message, when
// who fails tries again.
func TestLoss(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const nodes = 6
		w := newWorld(t, 6, nodes)
		defer w.close()
		lossy := sim.Params{Delay: time.Millisecond, Loss: 0.05, Duplicate: 0.02, Reorder: 0.02, Late: 3 * time.Millisecond}
		w.nodes[0].bootstrap()
		for i := 1; i < nodes; i++ {
			w.cable(i, i-1, lossy)
			n := w.nodes[i]
			w.eventually(2*time.Minute, "enrolment", func() bool { return n.tryEnroll(i-1) == nil })
			w.eventually(2*time.Minute, "connection", func() bool { return n.tryConnect(i-1) == nil })
		}
		all := w.joinAll()
		const messages = 400
		for i := range messages {
			all[0].send(fmt.Sprint("message ", i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(travel)
		got := 0
		for i := range messages {
			got += min(1, all[nodes-1].count(fmt.Sprint("message ", i)))
		}
		if got < messages/2 {
			t.Errorf("%d of %d messages over five hops", got, messages)
		}
		w.quiet()
	})
}
