// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"errors"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

func newTable(f framing) *flowTable {
	t := new(flowTable)
	t.first, t.last = f.ids()
	return t
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		f     framing
		flows int
	}{{dix, 4032}, {llc, 62}} {
		tab := newTable(c.f)
		now := time.Now()
		flows := make(map[uint16]*flow)
		for range c.flows {
			f := new(flow)
			must(t, tab.add(f, now))
			flows[f.eid] = f
			if f.eid < tab.first || f.eid > tab.last {
				t.Fatalf("endpoint %d", f.eid)
			}
		}
		if len(flows) != c.flows || tab.len() != c.flows || len(slices.Collect(tab.all())) != c.flows {
			t.Fatalf("%d different endpoints, %d flows", len(flows), tab.len())
		}
		if err := tab.add(new(flow), now); !errors.Is(err, layer.ErrNoMemory) {
			t.Errorf("one flow too many: %v", err)
		}
		for id := range 0x10000 {
			if tab.get(uint16(id)) != flows[uint16(id)] {
				t.Fatalf("flow %d is not found", id)
			}
		}
		// One rests as long as it must, and is used again if no other is left.
		old := flows[tab.first]
		tab.remove(old, now)
		tab.remove(old, now.Add(time.Hour)) // harmless
		if err := tab.add(new(flow), now.Add(minQuarantine-1)); !errors.Is(err, layer.ErrNoMemory) {
			t.Errorf("used again at once: %v", err)
		}
		f := new(flow)
		must(t, tab.add(f, now.Add(minQuarantine)))
		if f.eid != old.eid || tab.len() != c.flows {
			t.Errorf("endpoint %d, %d flows", f.eid, tab.len())
		}
	}
}

// While others are left, an endpoint rests for the whole peer timeout; new
// ones are from the top and cannot be foretold.
func TestEndpointsRest(t *testing.T) {
	tab := newTable(dix)
	now := time.Now()
	seen := make(map[uint16]bool)
	descending := true
	last := uint16(0xffff)
	for range 2000 {
		f := new(flow)
		must(t, tab.add(f, now))
		if seen[f.eid] {
			t.Fatalf("endpoint %d again", f.eid)
		}
		if len(seen) < choice && f.eid < lastEID-2*choice {
			t.Fatalf("endpoint %d, with higher ones free", f.eid)
		}
		descending = descending && f.eid < last
		last = f.eid
		seen[f.eid] = true
		tab.remove(f, now)
	}
	if descending {
		t.Error("endpoints can be foretold")
	}
	f := new(flow)
	must(t, tab.add(f, now.Add(quarantine)))
	if f.eid <= lastEID-choice {
		t.Errorf("endpoint %d after the quarantine", f.eid)
	}
}

// A peer that gives its endpoint to a new flow has ended the old one.
func TestClaim(t *testing.T) {
	tab := newTable(dix)
	now := time.Now()
	var fs [3]*flow
	for i := range fs {
		fs[i] = &flow{peer: mac{2}}
		fs[i].remote.Store(64)
		must(t, tab.add(fs[i], now))
	}
	fs[2].peer = mac{4}
	if tab.claim(fs[0]) != nil || tab.claim(fs[2]) != nil || tab.claim(fs[1]) != fs[0] {
		t.Error("claims went wrong")
	}
	tab.remove(fs[0], now)
	tab.remove(fs[1], now)
	tab.remove(fs[2], now)
	if len(tab.remotes) != 0 || tab.claim(fs[0]) != nil || len(tab.remotes) != 0 {
		t.Errorf("%d claims left", len(tab.remotes))
	}
}
