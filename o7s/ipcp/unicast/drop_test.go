// SPDX-License-Identifier: BSD-3-Clause

package unicast_test

import (
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
)

// TestDropNth loses each packet once, one in each run: of the CEP and
// enrolment messages, link state, directory and flow allocation of a line of
// three, and pairs of them. The layer comes up all the same.
func TestDropNth(t *testing.T) {
	for _, pair := range []bool{false, true} {
		lost := 0
		for n := uint64(1); n == 1 || lost > 0; n++ {
			lost = 0
			bubble.Test(t, func(t *testing.T) { lost = dropNth(t, n, pair) })
			if t.Failed() {
				t.Fatalf("packet %d lost, with the next: %v", n, pair)
			}
			if n > 1000 {
				t.Fatal("there is no end of packets")
			}
		}
	}
}

// dropNth loses the n-th packet of all, and the next if pair is set. It returns how
// many were lost before the flow worked.
func dropNth(t *testing.T, n uint64, pair bool) int {
	var sent, lost atomic.Uint64
	last := n
	if pair {
		last++
	}
	p := sim.Params{Delay: 100 * time.Microsecond, Drop: func(uint64, []byte) bool {
		k := sent.Add(1)
		if k < n || k > last {
			return false
		}
		lost.Add(1)
		return true
	}}
	w := newWorld(t, 11, 3)
	defer w.close()
	w.cable(0, 1, p)
	w.cable(1, 2, p)
	w.nodes[0].bootstrap(ipcp.UnicastConfig{})
	w.nodes[1].enrollPatiently(0)
	w.nodes[2].enrollPatiently(1)
	w.nodes[0].serve("echo")
	w.nodes[2].reaches(20*time.Second, "echo")
	return int(lost.Load())
}
