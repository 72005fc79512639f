// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"errors"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

func TestTable(t *testing.T) {
	var table flowTable
	now := time.Now()
	flows := make([]*flow, 3000)
	for i := range flows {
		flows[i] = new(flow)
		if err := table.add(flows[i], now); err != nil {
			t.Fatal(err)
		}
		if eid := flows[i].eid; uint32(eid) != uint32(firstEID+i) || !validEID(eid) || table.get(eid) != flows[i] {
			t.Fatalf("endpoint %x of flow %d", eid, i)
		}
	}
	for _, eid := range []uint64{0, 63, noEID, flows[0].eid ^ 1<<32, flows[0].eid &^ 0xffffffff, maxFlows, 1 << 31, flows[2999].eid + 1} {
		if table.get(eid) != nil {
			t.Errorf("endpoint %x is a flow's", eid)
		}
	}
	n := 0
	for f := range table.all() {
		if f != flows[n] {
			t.Fatalf("flow %d is another one", n)
		}
		n++
	}
	if n != 3000 || table.len() != 3000 {
		t.Fatalf("%d flows, %d", n, table.len())
	}
	old := flows[7].eid
	table.remove(flows[7], now)
	table.remove(flows[7], now)
	if table.get(old) != nil || table.len() != 2999 {
		t.Error("a removed flow is found")
	}
	next := new(flow)
	table.add(next, now.Add(quarantine))
	if uint32(next.eid) == uint32(old) {
		t.Error("its index was used at once")
	}
	table.add(next, now.Add(quarantine+1))
	if uint32(next.eid) != uint32(old) || next.eid == old || table.get(old) != nil {
		t.Errorf("endpoint %x, later %x", old, next.eid)
	}
	table.close()
	if err := table.add(next, now); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("%v", err)
	}
}

// When all indices were used they are used again, the oldest first, and when all
// are in use there is no more.
func TestTableFull(t *testing.T) {
	var table flowTable
	now := time.Now()
	first := new(flow)
	for i := range maxFlows - firstEID {
		f := new(flow)
		if i == 0 {
			f = first
		}
		if err := table.add(f, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.add(new(flow), now); !errors.Is(err, layer.ErrNoMemory) {
		t.Fatalf("%v", err)
	}
	table.remove(first, now)
	again := new(flow)
	if err := table.add(again, now); err != nil || uint32(again.eid) != uint32(first.eid) {
		t.Fatalf("endpoint %x, %v", again.eid, err)
	}
}

// A table where flows come and go stays small.
func TestTableChurn(t *testing.T) {
	var table flowTable
	now := time.Now()
	for range 2 * maxResting {
		f := new(flow)
		if err := table.add(f, now); err != nil {
			t.Fatal(err)
		}
		table.remove(f, now)
	}
	if table.used > maxResting+2 || len(table.resting) > 3*maxResting {
		t.Errorf("%d indices used, %d entries", table.used, len(table.resting))
	}
}

// Look-ups while flows come and go.
func TestTableConcurrent(t *testing.T) {
	var table flowTable
	now := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				f := new(flow)
				table.add(f, now)
				if table.get(f.eid) != f {
					t.Error("a flow is not found")
				}
				for range table.all() {
					break
				}
				table.remove(f, now)
				if table.get(f.eid) == f {
					t.Error("a removed flow is found")
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	var table flowTable
	var eids [1000]uint64
	for i := range eids {
		f := new(flow)
		table.add(f, time.Now())
		eids[i] = f.eid
	}
	for i := range b.N {
		if table.get(eids[i%len(eids)]) == nil {
			b.Fatal("not found")
		}
	}
}
