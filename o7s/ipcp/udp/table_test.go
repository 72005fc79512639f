// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestTableFindsTenThousand(t *testing.T) {
	var tab flowTable
	now := time.Now()
	flows := make(map[uint32]*flow)
	for range 10000 {
		f := new(flow)
		tab.add(f, now)
		flows[f.eid] = f
	}
	if len(flows) != 10000 || tab.len() != 10000 {
		t.Fatalf("%d different EIDs, %d flows", len(flows), tab.len())
	}
	for eid, f := range flows {
		if tab.get(eid) != f {
			t.Fatalf("flow %08x is not found", eid)
		}
	}
	if got := slices.Collect(tab.all()); len(got) != 10000 {
		t.Errorf("all yields %d", len(got))
	}
	for f := range maps.Values(flows) {
		tab.remove(f, now)
		tab.remove(f, now) // harmless
	}
	if tab.len() != 0 || len(tab.resting) != 10000 {
		t.Errorf("%d flows, %d EIDs in quarantine", tab.len(), len(tab.resting))
	}
	tab.add(new(flow), now.Add(quarantine+time.Second))
	if len(tab.resting) != 0 || len(tab.queue) != 0 {
		t.Errorf("%d EIDs still in quarantine, queue of %d", len(tab.resting), len(tab.queue))
	}
}

func TestQuarantineIsBounded(t *testing.T) {
	var tab flowTable
	now := time.Now()
	for range maxQuarantine + 1000 {
		f := new(flow)
		tab.add(f, now)
		tab.remove(f, now)
	}
	if len(tab.resting) > maxQuarantine || len(tab.queue) > 2*maxQuarantine {
		t.Errorf("%d EIDs in quarantine, queue of %d", len(tab.resting), len(tab.queue))
	}
}

// Flows that stay are found at any moment while others come and go.
func TestTableUnderChange(t *testing.T) {
	var tab flowTable
	now := time.Now()
	var stay []*flow
	for range 1000 {
		f := new(flow)
		tab.add(f, now)
		stay = append(stay, f)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, f := range stay {
					if tab.get(f.eid) != f {
						t.Errorf("flow %08x was lost", f.eid)
						return
					}
				}
			}
		})
	}
	for range 200 {
		var some []*flow
		for range 100 {
			f := new(flow)
			tab.add(f, now)
			some = append(some, f)
		}
		for _, f := range some {
			tab.remove(f, now)
		}
	}
	close(stop)
	wg.Wait()
}

func BenchmarkTableGet(b *testing.B) {
	var tab flowTable
	var eids []uint32
	for range 10000 {
		f := new(flow)
		tab.add(f, time.Now())
		eids = append(eids, f.eid)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if tab.get(eids[i%len(eids)]) == nil {
			b.Fatal("not found")
		}
		i++
	}
}
