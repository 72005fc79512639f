// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"slices"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

func TestThreeNodes(t *testing.T) {
	b := newBus(t, 1)
	all := b.grow(3, time.Second, nil)
	key := b.key()
	b.register(all[0], key)
	b.run(time.Second)
	for _, n := range all[1:] {
		if got, took := b.lookup(n, key); !slices.Equal(got, []uint64{all[0].addr}) || took > 200*time.Millisecond {
			t.Errorf("found %x after %v", got, took)
		}
	}
	if got, _ := b.lookup(all[0], key); len(got) != 0 {
		t.Errorf("the registrant finds %x", got)
	}
	if got, took := b.lookup(all[1], b.key()); len(got) != 0 || took > 200*time.Millisecond {
		t.Errorf("unknown name: found %x after %v", got, took)
	}
}

func TestBig(t *testing.T) {
	for _, n := range []int{50, 500} {
		for seed := range uint64(3) {
			start := time.Now()
			b := newBus(t, seed)
			all := b.grow(n, 20*time.Millisecond, nil)
			var keys []layer.Hash
			for _, m := range all {
				k := b.key()
				keys = append(keys, k)
				b.register(m, k)
			}
			b.run(10 * time.Second)
			size := 0
			for _, m := range all {
				size += m.table.size
			}
			t.Logf("%d nodes: %d messages, contacts %d avg, real %v", n, b.sent, size/n, time.Since(start))
			gone := map[uint64]bool{}
			for _, i := range b.rng.Perm(n)[:n/5] {
				b.leave(all[i])
				gone[all[i].addr] = true
			}
			ok, tried := 0, 0
			var worst time.Duration
			s0 := b.sent
			for range 500 {
				i, j := b.rng.IntN(n), b.rng.IntN(n)
				if i == j || gone[all[i].addr] || gone[all[j].addr] {
					continue
				}
				tried++
				got, took := b.lookup(all[i], keys[j])
				if slices.Equal(got, []uint64{all[j].addr}) {
					ok++
				}
				worst = max(worst, took)
			}
			t.Logf("%d nodes seed %d: %d/%d worst %v, %d msgs, real %v", n, seed, ok, tried, worst, (b.sent-s0)/tried, time.Since(start))
		}
	}
}
