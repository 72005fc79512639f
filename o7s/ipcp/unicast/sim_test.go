// SPDX-License-Identifier: BSD-3-Clause

package unicast_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
)

// cable100 is a cable of 100 µs.
var cable100 = sim.Params{Delay: 100 * time.Microsecond}

// line makes a layer of hosts in a row, each enrolled through the one before.
func line(t *testing.T, seed uint64, nodes int, p sim.Params, c ipcp.UnicastConfig) *world {
	t.Helper()
	w := newWorld(t, seed, nodes)
	for i := range nodes - 1 {
		w.cable(i, i+1, p)
	}
	w.nodes[0].bootstrap(c)
	for i := 1; i < nodes; i++ {
		w.nodes[i].enroll(i - 1)
	}
	return w
}

// square makes a layer of hosts 0-1-3-2-0.
func square(t *testing.T, seed uint64, c ipcp.UnicastConfig) *world {
	t.Helper()
	w := newWorld(t, seed, 4)
	for _, l := range [][2]int{{0, 1}, {1, 3}, {3, 2}, {2, 0}} {
		w.cable(l[0], l[1], cable100)
	}
	w.nodes[0].bootstrap(c)
	w.nodes[1].enroll(0)
	w.nodes[2].enroll(0)
	w.nodes[3].enroll(1)
	w.nodes[3].connect(2)
	return w
}

func TestLine(t *testing.T) {
	for _, nodes := range []int{2, 3, 20} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := line(t, 1, nodes, cable100, ipcp.UnicastConfig{})
				defer w.close()
				w.nodes[0].serve("first")
				w.nodes[nodes-1].serve("last")
				w.nodes[nodes-1].reaches(5*time.Second, "first")
				w.nodes[0].reaches(5*time.Second, "last")
				if _, err := w.nodes[0].dial("nobody"); err == nil {
					t.Error("a name that nobody serves was found")
				}
			})
		})
	}
}

// TestTeardown: the end of a flow is seen at the other end of the layer.
func TestTeardown(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := line(t, 2, 3, cable100, ipcp.UnicastConfig{})
		defer w.close()
		w.nodes[2].serve("echo")
		w.nodes[0].reaches(5*time.Second, "echo")
		c := w.nodes[0].mustDial("echo")
		if !c.echoed(1) {
			t.Fatal("no echo")
		}
		// The host of the server ends, and says so.
		w.nodes[2].stop()
		w.eventually(time.Second, "end of the flow", func() bool { return c.saw(layer.Closed) })
		w.nodes = w.nodes[:2]
	})
}

// TestRandomLayers: names of all hosts are found from everywhere.
func TestRandomLayers(t *testing.T) {
	for _, nodes := range []int{5, 30} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := randomLayer(t, uint64(nodes), nodes, ipcp.UnicastConfig{})
				defer w.close()
				for i, n := range w.nodes {
					n.serve(fmt.Sprintf("s%d", i))
				}
				time.Sleep(5 * time.Second)
				r := rand.New(rand.NewPCG(1, 1))
				for range 2 * nodes {
					from, to := r.IntN(nodes), r.IntN(nodes)
					if from == to {
						continue
					}
					c := w.nodes[from].mustDial(fmt.Sprintf("s%d", to))
					if !c.echoed(1) {
						t.Errorf("no echo from %d to %d", from, to)
					}
					c.f.Dealloc()
				}
			})
		})
	}
}

// randomLayer makes a layer of hosts of which each is joined to one or two
// earlier ones. They enrol as soon as the one is there that they enrol through.
func randomLayer(t *testing.T, seed uint64, nodes int, c ipcp.UnicastConfig) *world {
	t.Helper()
	w := newWorld(t, seed, nodes)
	r := rand.New(rand.NewPCG(seed, 2))
	joined := make([]chan struct{}, nodes)
	joined[0] = make(chan struct{})
	w.nodes[0].bootstrap(c)
	close(joined[0])
	var all sync.WaitGroup
	for i := 1; i < nodes; i++ {
		joined[i] = make(chan struct{})
		first, second := r.IntN(i), r.IntN(i)
		w.cable(i, first, cable100)
		if second != first {
			w.cable(i, second, cable100)
		}
		all.Go(func() {
			<-joined[first]
			w.nodes[i].enroll(first)
			close(joined[i])
			if second != first {
				<-joined[second]
				w.nodes[i].connect(second)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return w
}

// outage sends a packet every 10 ms, and returns the longest time in which none
// came back after cut was called.
func outage(c *client, cut func(), watch time.Duration) time.Duration {
	for len(c.got) > 0 {
		<-c.got
	}
	cut()
	start, last, longest := time.Now(), time.Now(), time.Duration(0)
	for time.Since(start) < watch {
		c.send("ping")
		time.Sleep(10 * time.Millisecond)
		for len(c.got) > 0 {
			<-c.got
			longest = max(longest, time.Since(last))
			last = time.Now()
		}
	}
	return max(longest, time.Since(last))
}

// TestLinkCut cuts a link of the square that a flow uses, with and without an
// event of the shim.
func TestLinkCut(t *testing.T) {
	for _, routing := range []string{"link_state", "lfa", "ecmp"} {
		for _, silent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,silent=%v", routing, silent), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					w := square(t, 3, ipcp.UnicastConfig{Routing: routing})
					defer w.close()
					w.nodes[3].serve("echo")
					w.nodes[0].reaches(5*time.Second, "echo")
					time.Sleep(3 * time.Second)
					c := w.nodes[0].mustDial("echo")
					if !c.echoed(1) {
						t.Fatal("no echo")
					}
					// With ECMP and LFA the flow may take either way: one after the other is
					// cut, and healed.
					limit := time.Second
					if silent {
						limit = 3 * time.Second // keepalives are a second apart
					}
					for _, l := range [][2]int{{0, 1}, {0, 2}} {
						link := w.links[l]
						o := outage(c, func() { cut(link, silent) }, 5*time.Second)
						t.Logf("link %v: %v without delivery", l, o)
						if o > limit {
							t.Errorf("link %v: %v without delivery, at most %v", l, o, limit)
						}
						heal(link, silent)
						time.Sleep(30 * time.Second)
					}
					if c.saw(layer.Closed) {
						t.Error("the flow has ended")
					}
				})
			})
		}
	}
}

func cut(l *sim.Link, silent bool) {
	if silent {
		p := cable100
		p.Loss = 1
		l.Set(p)
	} else {
		l.SetUp(false)
	}
}

func heal(l *sim.Link, silent bool) {
	if silent {
		l.Set(cable100)
	} else {
		l.SetUp(true)
	}
}

// TestPartition: both halves of a line go on by themselves, and become one
// again.
func TestPartition(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := line(t, 4, 6, cable100, ipcp.UnicastConfig{})
		defer w.close()
		for i, n := range w.nodes {
			n.serve(fmt.Sprintf("s%d", i))
		}
		w.nodes[0].reaches(5*time.Second, "s5")
		c := w.nodes[0].mustDial("s5")
		cut(w.links[[2]int{2, 3}], true)
		w.eventually(20*time.Second, "flow across the cut hears that it is down", func() bool { return c.saw(layer.Down) })
		w.nodes[0].reaches(5*time.Second, "s2")
		w.nodes[5].reaches(5*time.Second, "s3")
		if _, err := w.nodes[0].dial("s4"); err == nil {
			t.Error("a flow across the cut was allocated")
		}
		heal(w.links[[2]int{2, 3}], true)
		w.nodes[0].reaches(30*time.Second, "s4")
		if !c.echoed(5) {
			t.Error("the flow across the cut does not work again")
		}
	})
}

// TestRouterRestarts: the middle of a line is shut down, or dies, and comes
// back by what its own configuration says; its neighbours do the rest.
func TestRouterRestarts(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent=%v", silent), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := line(t, 5, 3, cable100, ipcp.UnicastConfig{})
				defer w.close()
				w.nodes[2].serve("echo")
				w.nodes[0].reaches(5*time.Second, "echo")
				c := w.nodes[0].mustDial("echo")
				w.restart(1, silent)
				w.nodes[1].enroll(0)
				w.nodes[0].reaches(20*time.Second, "echo")
				if !c.echoed(3) {
					t.Error("the flow through the router does not work again")
				}
			})
		})
	}
}

// TestLayerBelowIsReplaced: an operator destroys the IPC process below and makes it
// again. So it is at either end of the connections.
func TestLayerBelowIsReplaced(t *testing.T) {
	for _, end := range []int{0, 1} {
		bubble.Test(t, func(t *testing.T) {
			w := line(t, 8, 2, cable100, ipcp.UnicastConfig{})
			defer w.close()
			w.nodes[0].serve("echo")
			w.nodes[1].reaches(5*time.Second, "echo")
			n := w.nodes[end]
			if err := n.irm.DestroyIPCP(n.ids[0]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if _, err := w.nodes[1].dial("echo"); err == nil {
				t.Error("a flow without a layer below")
			}
			n.plug(w.links[[2]int{0, 1}], 1-end)
			w.nodes[1].reaches(20*time.Second, "echo")
		})
	}
}

// TestTakesNothingAlong: connections come and go, flows are made, refused and
// ended, and in the end nothing is left of them.
func TestTakesNothingAlong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := line(t, 9, 3, cable100, ipcp.UnicastConfig{})
		defer w.close()
		w.nodes[0].serve("echo")
		w.nodes[2].reaches(5*time.Second, "echo")
		flows := func() int {
			return len(w.nodes[0].irm.ListFlows()) + len(w.nodes[1].irm.ListFlows()) + len(w.nodes[2].irm.ListFlows())
		}
		time.Sleep(5 * time.Second)
		before := flows()
		for range 100 {
			c := w.nodes[2].mustDial("echo")
			if !c.echoed(1) {
				t.Fatal("no echo")
			}
			c.f.Dealloc()
			if _, err := w.nodes[2].dial("nobody"); err == nil {
				t.Fatal("nobody answers")
			}
		}
		for range 20 {
			w.nodes[2].disconnect(1)
			w.nodes[2].connect(1)
		}
		w.nodes[2].reaches(20*time.Second, "echo")
		time.Sleep(5 * time.Second)
		if after := flows(); after != before {
			t.Errorf("%d flows, before %d", after, before)
		}
	})
}

// TestFirstMemberRestarts: the member that made the layer makes it again after
// a restart, with another address; the others find it and go on.
func TestFirstMemberRestarts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := line(t, 6, 3, cable100, ipcp.UnicastConfig{})
		defer w.close()
		w.nodes[2].serve("echo")
		w.nodes[0].reaches(5*time.Second, "echo")
		w.restart(0, true)
		w.nodes[0].bootstrap(ipcp.UnicastConfig{})
		w.nodes[0].reaches(20*time.Second, "echo")
		w.nodes[0].serve("first")
		w.nodes[2].reaches(5*time.Second, "first")
	})
}

// restart ends a host, silently or not, and boots it again after a while, without a
// layer.
func (w *world) restart(i int, silent bool) {
	w.t.Helper()
	old := w.nodes[i]
	for ends, l := range w.links {
		if silent && (ends[0] == i || ends[1] == i) {
			cut(l, true)
		}
	}
	old.stop()
	time.Sleep(2 * time.Second)
	n := w.boot(i)
	for ends, l := range w.links {
		if ends[0] != i && ends[1] != i {
			continue
		}
		heal(l, true)
		n.plug(l, ends[0]+ends[1]-i)
	}
}

// TestLoss: 5 % of all packets and messages are lost, others come late.
func TestLoss(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, 5)
				p := sim.Params{Delay: time.Millisecond, Loss: 0.05, Reorder: 0.05, Late: 3 * time.Millisecond, Duplicate: 0.02}
				for i := range 4 {
					w.cable(i, i+1, p)
				}
				w.nodes[0].bootstrap(ipcp.UnicastConfig{})
				for i := 1; i < 5; i++ {
					w.nodes[i].enrollPatiently(i - 1)
				}
				defer w.close()
				w.nodes[4].serve("echo")
				w.nodes[0].reaches(60*time.Second, "echo")
			})
		})
	}
}
