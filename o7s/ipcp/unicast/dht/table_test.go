// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"bytes"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// distance is the slow oracle: the XOR of two ids as a number.
func distance(a, b string) *big.Int {
	x := make([]byte, len(a))
	for i := range x {
		x[i] = a[i] ^ b[i]
	}
	return new(big.Int).SetBytes(x)
}

// drawID draws ids that often have long beginnings in common with self.
func drawID(t *rapid.T, self string) string {
	n := rapid.IntRange(0, len(self)).Draw(t, "common bytes")
	rest := rapid.SliceOfN(rapid.Byte(), len(self)-n, len(self)-n).Draw(t, "rest")
	return self[:n] + string(rest)
}

func TestDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := string(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "key"))
		a, b := drawID(t, key), drawID(t, key)
		if got, want := nearer(key, a, b), distance(key, a).Cmp(distance(key, b)) < 0; got != want {
			t.Errorf("nearer(%x, %x, %x) = %t", key, a, b, got)
		}
		if got, want := sharedBits(key, a), 64-distance(key, a).BitLen(); got != want {
			t.Errorf("%x and %x share %d bits, want %d", key, a, got, want)
		}
	})
}

// Whatever is inserted, removed, heard and silent, the table keeps its limits and
// finds the same as sorting everything does.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const k = 3
		self := string(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "self"))
		tab := newTable(self, k)
		var now time.Duration
		var last uint64
		pick := func() *contact {
			var all []*contact
			tab.each(func(c *contact) { all = append(all, c) })
			if len(all) == 0 {
				return nil
			}
			return all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now++
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1: // answered for the first time
				id := drawID(t, self)
				if id == self || tab.byID(id) != nil {
					continue
				}
				last++
				room := tab.room(id)
				c := &contact{id: id, addr: last, heard: now}
				if placed, out := tab.insert(c); placed != room || out == c {
					t.Errorf("placed %t, room %t", placed, room)
				}
			case 2: // hearsay
				id := drawID(t, self)
				if id == self || tab.byID(id) != nil {
					continue
				}
				last++
				if out := tab.addSpare(&contact{id: id, addr: last}); out != nil && out.heard > 0 {
					t.Errorf("hearsay pushed a contact out")
				}
			case 3:
				if c := pick(); c != nil {
					tab.remove(c)
					if tab.byID(c.id) != nil || tab.addrs[c.addr] != nil {
						t.Errorf("%x is still there", c.id)
					}
				}
			case 4:
				if c := pick(); c != nil {
					tab.answered(c, now)
				}
			case 5:
				if c := pick(); c != nil {
					c.failed++
				}
			}
		}
		size, known := 0, 0
		var ids []string
		for i, b := range tab.buckets {
			if len(b.contacts) > k || len(b.spares) > k {
				t.Errorf("bucket %d has %d contacts and %d spares", i, len(b.contacts), len(b.spares))
			}
			if !slices.IsSortedFunc(b.contacts, func(x, y *contact) int { return int(x.heard - y.heard) }) {
				t.Errorf("bucket %d is not in order of answers", i)
			}
			for _, c := range slices.Concat(b.contacts, b.spares) {
				known++
				if sharedBits(self, c.id) != i || tab.byID(c.id) != c || tab.addrs[c.addr] != c {
					t.Errorf("bucket %d: contact %x is wrong here", i, c.id)
				}
				if !c.spare {
					size++
					ids = append(ids, c.id)
				}
			}
		}
		if size != tab.size || known != tab.known() {
			t.Errorf("size %d, counted %d; known %d, counted %d", tab.size, size, tab.known(), known)
		}
		key := drawID(t, self)
		slices.SortFunc(ids, func(x, y string) int { return distance(key, x).Cmp(distance(key, y)) })
		n := rapid.IntRange(1, 20).Draw(t, "n")
		all := func(*contact) bool { return true }
		got := tab.closest(key, n, all, nil)
		if len(got) != min(n, len(ids)) {
			t.Fatalf("%d closest, want %d", len(got), min(n, len(ids)))
		}
		for i, c := range got {
			if c.id != ids[i] {
				t.Errorf("closest %d is %x, want %x", i, c.id, ids[i])
			}
		}
		id := drawID(t, self)
		rank := 0
		for _, other := range ids {
			if distance(key, other).Cmp(distance(key, id)) < 0 {
				rank++
			}
		}
		if got := tab.rank(key, id, len(ids)+1, all); got != rank {
			t.Errorf("rank %d, want %d", got, rank)
		}
	})
}

// room reports whether a contact that answered would be placed in a bucket.
func (t *table) room(id string) bool {
	b := t.bucket(id)
	return len(b.contacts) < t.k || b.silent() != nil
}

func TestRandomID(t *testing.T) {
	d := New(Config{Self: 1, ID: count(7, 32)}, epoch)
	for bucket := range 8 * 32 {
		if got := sharedBits(d.id, d.randomID(bucket)); got != bucket {
			t.Errorf("id of bucket %d is in bucket %d", bucket, got)
		}
	}
	if bytes.Equal([]byte(d.randomID(0)), []byte(d.randomID(0))) {
		t.Error("not random")
	}
}

func TestTimers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h timers
		all := make([]timer, 10)
		want := make(map[*timer]time.Duration)
		var fired []*timer
		for i := range all {
			x := &all[i]
			x.do = func() { fired = append(fired, x) }
		}
		var now time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			x := &all[rapid.IntRange(0, len(all)-1).Draw(t, "timer")]
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				at := now + time.Duration(rapid.IntRange(0, 20).Draw(t, "after"))
				h.set(x, at)
				want[x] = at
			case 1:
				h.stop(x)
				delete(want, x)
			case 2:
				now += time.Duration(rapid.IntRange(0, 10).Draw(t, "pass"))
				fired = nil
				h.run(now)
				for i, x := range fired {
					if at, ok := want[x]; !ok || at > now || i > 0 && fired[i-1].at > x.at {
						t.Errorf("fired at %d, was due at %d (%t)", now, at, ok)
					}
					delete(want, x)
				}
				for _, at := range want {
					if at <= now {
						t.Errorf("what was due at %d did not happen until %d", at, now)
					}
				}
			}
			for x := range want {
				if x.pos == 0 || h[x.pos-1] != x {
					t.Error("a timer is lost")
				}
			}
			if len(h) != len(want) {
				t.Errorf("%d timers, want %d", len(h), len(want))
			}
		}
	})
}
