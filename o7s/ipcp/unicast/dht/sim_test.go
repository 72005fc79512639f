// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"flag"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

// seeds is how many layers of 500 nodes are simulated.
var seeds = flag.Int("seeds", 1, "layers of 500 nodes to simulate, each with a seed of its own")

func TestThreeNodes(t *testing.T) {
	b := newBus(t, 1)
	all := b.grow(3, time.Second, nil)
	key := b.key()
	b.register(all[0], key)
	b.run(time.Second)
	for _, n := range all[1:] {
		b.finds(n, key, all[0].addr)
	}
	if got, _ := b.lookup(all[0], key); len(got) != 0 {
		t.Errorf("the registrant finds %x", got)
	}
	for _, n := range all {
		if got, took := b.lookup(n, b.key()); len(got) != 0 || took > 200*time.Millisecond {
			t.Errorf("unknown name: found %x after %v", got, took)
		}
	}
}

// finds looks a name up, which must be served by these and no others.
func (b *bus) finds(n *member, key layer.Hash, want ...uint64) {
	b.t.Helper()
	if got, took := b.lookup(n, key); !slices.Equal(got, want) {
		b.t.Errorf("found %x after %v, want %x", got, took, want)
	}
}

// named makes a layer of n nodes, each of which serves one name.
func (b *bus) named(n int) ([]*member, []layer.Hash) {
	all := b.grow(n, 20*time.Millisecond, nil)
	var keys []layer.Hash
	for _, m := range all {
		keys = append(keys, b.key())
		b.register(m, keys[len(keys)-1])
	}
	return all, keys
}

// tries has nodes look up the names of other nodes, none of which has left, all at
// the same time, and returns how many were found.
func (b *bus) tries(n int, all []*member, keys []layer.Hash) (found, tried int, worst time.Duration) {
	type try struct {
		by, of *member
		id     uint64
	}
	var list []try
	start := b.now
	for len(list) < n {
		i, j := b.rng.IntN(len(all)), b.rng.IntN(len(all))
		by, of := all[i], all[j]
		if i == j || b.nodes[by.addr] == nil || b.nodes[of.addr] == nil {
			continue
		}
		by.lastID++
		list = append(list, try{by, of, by.lastID})
		b.do(by, func() { by.d.Lookup(b.now, by.lastID, keys[j]) })
	}
	for _, t := range list {
		answered := func() bool { _, ok := t.by.found[t.id]; return ok }
		if !b.until(start.Add(lookupLife), answered) && !answered() {
			b.do(t.by, func() { t.by.d.Tick(b.now) })
		}
		if slices.Equal(t.by.found[t.id], []uint64{t.of.addr}) {
			found++
		}
	}
	return found, len(list), b.now.Sub(start)
}

// A fifth of the nodes vanish without notice; each look-up has one try.
func TestVanish(t *testing.T) {
	for _, n := range []int{50, 500} {
		for seed := range map[int]int{50: 4, 500: *seeds}[n] {
			b := newBus(t, uint64(seed))
			all, keys := b.named(n)
			b.run(10 * time.Second)
			contacts := 0
			for _, m := range all {
				contacts += m.d.table.size
			}
			sent := b.sent
			for _, i := range b.rng.Perm(n)[:n/5] {
				b.leave(all[i])
			}
			found, tried, worst := b.tries(400, all, keys)
			t.Logf("%d nodes, 20 %% gone, seed %d: %d of %d look-ups found in one try, slowest %v; %d messages before, %d contacts each",
				n, seed, found, tried, worst, sent, contacts/n)
			if 100*found < 99*tried {
				t.Errorf("seed %d: only %d of %d", seed, found, tried)
			}
			for range 10 {
				m := all[b.rng.IntN(n)]
				if b.nodes[m.addr] != nil {
					if got, took := b.lookup(m, b.key()); len(got) > 0 || took > lookupLife {
						t.Errorf("unknown name: found %x after %v", got, took)
					}
				}
			}
		}
	}
}

// With 5 % of all messages lost from the beginning on, names are found.
func TestLoss(t *testing.T) {
	for seed := range uint64(3) {
		b := newBus(t, seed)
		b.loss = 0.05
		all, keys := b.named(50)
		b.run(5 * time.Second)
		found, tried, worst := b.tries(300, all, keys)
		t.Logf("50 nodes, 5 %% loss, seed %d: %d of %d found, slowest %v", seed, found, tried, worst)
		if 100*found < 99*tried {
			t.Errorf("seed %d: only %d of %d", seed, found, tried)
		}
	}
}

// Whichever message of join, publication or look-up is lost, one look-up
// finds the name.
func TestDropNth(t *testing.T) {
	const members = 4
	total := 0
	for lost := -1; lost < total || lost == -1; lost++ {
		b := newBus(t, 7)
		b.drop = func(n int, from, to uint64, m []byte) bool { return n == lost }
		all := b.grow(members, 100*time.Millisecond, nil)
		var keys []layer.Hash
		for _, m := range all {
			keys = append(keys, b.key())
			b.register(m, keys[len(keys)-1])
		}
		b.run(3 * time.Second)
		for i, m := range all {
			for j, key := range keys {
				if i != j {
					if got, took := b.lookup(m, key); !slices.Equal(got, []uint64{all[j].addr}) {
						t.Errorf("message %d lost: %d finds %x of %d after %v", lost, i, got, j, took)
					}
				}
			}
		}
		if lost == -1 {
			if total = b.sent; total < 20 {
				t.Fatalf("only %d messages", total)
			}
		}
	}
	t.Logf("each of %d messages lost in turn", total)
}

// The peer of enrolment answers late: it is asked until it does.
func TestJoinIsRetried(t *testing.T) {
	b := newBus(t, 3)
	first, second := b.add(nil), b.add(nil)
	key := b.key()
	b.register(second, key) // before anybody is known
	b.leave(first)          // there is no route yet
	b.join(second, first.addr)
	b.run(11 * time.Second)
	if b.sent < 10 || b.sent > 30 {
		t.Errorf("%d requests in 11 s", b.sent)
	}
	b.nodes[first.addr] = first
	b.do(second, func() { second.d.Neighbour(b.now, first.addr) })
	b.run(time.Second)
	b.finds(first, key, second.addr)
	// And a look-up made too early is answered in time.
	third := b.add(nil)
	b.join(third, first.addr)
	b.finds(third, key, second.addr)
}

// In a layer with C nodes, which store and ask at their first contacts only,
// every node finds the names of every other.
func TestMixedLayer(t *testing.T) {
	for _, size := range []int{3, 9, 50} {
		b := newBus(t, uint64(size))
		all := b.grow(size, 50*time.Millisecond, nil)
		cm, c := b.addC()
		b.do(cm, func() { c.join(all[b.rng.IntN(size)].addr) })
		b.run(2 * time.Second)
		theirs, ours := b.key(), b.key()
		b.do(cm, func() { c.register(b.now, theirs) })
		b.register(all[0], ours)
		b.run(5 * time.Second)
		for _, n := range all {
			b.finds(n, theirs, cm.addr)
		}
		if size <= 2*c.k { // in larger layers C nodes do not even find each other's
			b.do(cm, func() { c.lookup(1, ours) })
			b.run(time.Second)
			if got := cm.found[1]; !slices.Equal(got, []uint64{all[0].addr}) {
				t.Errorf("%d nodes: the C node finds %x", size, got)
			}
		}
		if s := b.nodes[all[0].addr].d.Snapshot(b.now).Counters; s.Malformed+s.Rejected > 0 {
			t.Errorf("%+v", s)
		}
	}
}

// The halves of a layer that was cut find each other again, and their names.
func TestPartitionHeals(t *testing.T) {
	const n = 60
	b := newBus(t, 5)
	all, keys := b.named(n)
	b.run(5 * time.Second)
	half := make(map[uint64]bool)
	for _, m := range all[:n/2] {
		half[m.addr] = true
	}
	cut := true
	b.drop = func(_ int, from, to uint64, _ []byte) bool { return cut && half[from] != half[to] }
	b.run(20 * time.Minute)
	left, right := b.key(), b.key()
	b.register(all[0], left)
	b.register(all[n-1], right)
	b.run(time.Second)
	b.finds(all[1], left, all[0].addr)
	b.finds(all[n-2], right, all[n-1].addr)
	cut = false
	b.run(6 * time.Minute)
	b.finds(all[1], right, all[n-1].addr)
	b.finds(all[n-2], left, all[0].addr)
	if found, tried, _ := b.tries(200, all, keys); 100*found < 99*tried {
		t.Errorf("%d of %d found after the healing", found, tried)
	}
}

// Values stay as long as their owner does, though all who held them leave; they
// are gone some time after the owner.
func TestReplication(t *testing.T) {
	b := newBus(t, 6)
	all := b.grow(20, 50*time.Millisecond, nil)
	cm, c := b.addC()
	b.do(cm, func() { c.join(all[0].addr) })
	b.run(2 * time.Second)
	ours, theirs := b.key(), b.key()
	b.register(all[0], ours)
	b.do(cm, func() { c.register(b.now, theirs) }) // and never again for 22 h
	b.run(5 * time.Second)
	old := all[1:]
	for len(old) > 0 {
		fresh := b.add(nil)
		b.join(fresh, all[0].addr)
		all = append(all, fresh)
		b.leave(old[0])
		old = old[1:]
		b.run(10 * time.Minute)
	}
	b.leave(cm)
	before := b.sent
	b.run(time.Hour)
	t.Logf("%d messages for each of 20 nodes in an idle hour", (b.sent-before)/20)
	for _, n := range all[20:] {
		b.finds(n, ours, all[0].addr)
		b.finds(n, theirs, cm.addr)
	}
	b.leave(all[0])
	b.run(24*time.Hour + 5*time.Second)
	for _, n := range all[20:] {
		b.finds(n, ours)
		b.finds(n, theirs)
		if s := n.d.Snapshot(b.now); len(s.Keys) > 0 || n.d.values != 0 || len(n.d.billed) != 0 || len(n.d.keys) != 0 {
			t.Errorf("still holds %+v", s.Keys)
		}
	}
}

// A member that was started again has another address: both are found, the
// new one first, and a value that proved wrong comes last.
func TestRestartedMember(t *testing.T) {
	b := newBus(t, 8)
	all := b.grow(5, 50*time.Millisecond, nil)
	key := b.key()
	b.register(all[4], key)
	b.run(5 * time.Second)
	b.leave(all[4])
	again := b.add(nil)
	b.join(again, all[0].addr)
	b.run(time.Second)
	b.register(again, key)
	b.run(5 * time.Second)
	for _, n := range all[:4] {
		b.finds(n, key, again.addr, all[4].addr)
		b.do(n, func() { n.d.Forget(b.now, key, again.addr) })
		b.finds(n, key, all[4].addr, again.addr)
	}
}

// The same seed makes the same layer: a failure can be repeated.
func TestRepeatable(t *testing.T) {
	run := func() (sent int, d time.Time) {
		b := newBus(t, 11)
		b.loss = 0.1
		all, keys := b.named(15)
		b.leave(all[3])
		b.do(all[4], func() { all[4].d.Unreachable(b.now, all[3].addr) })
		b.tries(20, all, keys)
		b.run(time.Hour)
		return b.sent, all[4].Deadline()
	}
	sent, d := run()
	if again, e := run(); again != sent || !e.Equal(d) {
		t.Errorf("%d messages, then %d; deadline %v, then %v", sent, again, d, e)
	}
}

// Nothing that members who left could cause goes on for ever (DHT-1).
func TestQuietAfterLeaving(t *testing.T) {
	b := newBus(t, 9)
	all, _ := b.named(20)
	b.run(time.Minute)
	for _, m := range all[:15] {
		b.leave(m)
	}
	b.run(5 * time.Minute)
	before := b.sent
	b.run(10 * time.Minute)
	rate := float64(b.sent-before) / 5 / 600
	t.Logf("%.2f messages/s from each of 5 nodes that lost 15", rate)
	if rate > 1 {
		t.Errorf("%.2f messages/s", rate)
	}
}
