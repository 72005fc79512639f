// SPDX-License-Identifier: BSD-3-Clause

package unicast_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
)

// TestScale makes layers of many whole nodes: names are found, flows work
// across, and it says what an idle node costs.
func TestScale(t *testing.T) {
	sizes := []int{50, 500}
	if raceDetector || testing.Short() {
		sizes = sizes[:1] // the detector makes it ten times as slow, and as large
	}
	for _, nodes := range sizes {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { scale(t, nodes) })
		})
	}
}

func scale(t *testing.T, nodes int) {
	w := randomLayer(t, 7, nodes, ipcp.UnicastConfig{})
	defer w.close()
	r := rand.New(rand.NewPCG(1, 1))
	served := r.Perm(nodes)[:20]
	for _, i := range served {
		w.nodes[i].serve(fmt.Sprintf("s%d", i))
	}
	time.Sleep(20 * time.Second)

	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := cpu(t)
	const idle = 30 * time.Second // two updates of the link state
	time.Sleep(idle)
	t.Logf("%d nodes, each idle one: %d KiB of memory, %.2f ms of processor time per second",
		nodes, m.HeapAlloc/1024/uint64(nodes), 1000*(cpu(t)-before).Seconds()/idle.Seconds()/float64(nodes))

	for _, to := range served {
		from := (to + 1 + r.IntN(nodes-1)) % nodes
		c := w.nodes[from].mustDial(fmt.Sprintf("s%d", to))
		if !c.echoed(1) {
			t.Errorf("no echo from %d to %d", from, to)
		}
		c.f.Dealloc()
	}
}

// cpu returns the processor time that this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
