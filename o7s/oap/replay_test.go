// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func idOf(n int) (id [IDSize]byte) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func stamp(t time.Time) uint64 { return uint64(t.UnixNano()) }

func TestReplayWindow(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		want verdict
	}{
		{0, fresh},
		{-100 * time.Millisecond, fresh},
		{-101 * time.Millisecond, untimely},
		{20 * time.Second, fresh},
		{20001 * time.Millisecond, untimely},
		{time.Hour, untimely},
		{-time.Hour, untimely},
	} {
		var f replayFilter
		if got := f.check(vectorTime, stamp(vectorTime.Add(-c.age)), idOf(1)); got != c.want {
			t.Errorf("age %v: %v, want %v", c.age, got, c.want)
		}
	}
	var f replayFilter
	for _, ts := range []uint64{0, 1 << 63, stamp(vectorTime) + 1<<63, 1<<64 - 1} {
		if got := f.check(vectorTime, ts, idOf(1)); got != untimely {
			t.Errorf("timestamp %#x: %v", ts, got)
		}
	}
}

// As long as a request is young enough to be taken, its copy is known; after
// that nothing of it is left in memory.
func TestReplayRemembersExactlyAsLongAsNeeded(t *testing.T) {
	var f replayFilter
	sent := vectorTime.Add(100 * time.Millisecond)
	if f.check(vectorTime, stamp(sent), idOf(1)) != fresh {
		t.Fatal("first refused")
	}
	for d := time.Duration(0); d <= 20100*time.Millisecond; d += 50 * time.Millisecond {
		if got := f.check(vectorTime.Add(d), stamp(sent), idOf(1)); got != seen {
			t.Fatalf("copy after %v: %v", d, got)
		}
		f.check(vectorTime.Add(d), stamp(vectorTime.Add(d)), idOf(int(d)))
	}
	later := vectorTime.Add(time.Minute)
	f.check(later, stamp(later), idOf(2))
	if f.n != 1 || len(f.slots) != 1 {
		t.Fatalf("%d entries in %d slots left", f.n, len(f.slots))
	}
}

func TestReplayFull(t *testing.T) {
	f := replayFilter{limit: 100}
	now := vectorTime
	taken := 0
	for i := range 1000 {
		now = now.Add(10 * time.Millisecond)
		if f.check(now, stamp(now), idOf(i)) == fresh {
			taken++
		}
		if f.n > 100 {
			t.Fatalf("%d entries", f.n)
		}
	}
	if taken != 1000 {
		t.Errorf("a full filter took only %d of 1000 punctual requests", taken)
	}
	// A copy of a forgotten one is refused, and so is one as old.
	if got := f.check(now, stamp(vectorTime.Add(10*time.Millisecond)), idOf(0)); got != crowded {
		t.Errorf("forgotten copy: %v", got)
	}
	// A flood within one slot does not push itself out.
	for i := range 200 {
		f.check(now, stamp(now), idOf(5000+i))
	}
	if got := f.check(now, stamp(now), idOf(9999)); got != crowded {
		t.Errorf("flooded slot: %v", got)
	}
	now = now.Add(300 * time.Millisecond)
	if got := f.check(now, stamp(now), idOf(9999)); got != fresh {
		t.Errorf("after the flood: %v", got)
	}
}

func TestReplayClocks(t *testing.T) {
	var f replayFilter
	for i, now := range []time.Time{
		time.Unix(5, 0), // never set
		vectorTime.AddDate(20, 0, 0),
		vectorTime, // set back
		vectorTime.Add(time.Hour),
	} {
		if got := f.check(now, stamp(now), idOf(i)); got != fresh {
			t.Errorf("%v: %v", now, got)
		}
		if got := f.check(now, stamp(now), idOf(i)); got != seen {
			t.Errorf("copy at %v: %v", now, got)
		}
	}
}

// Whatever arrives in whatever order, nothing is taken twice while the clock
// runs forwards, and memory stays bounded.
func TestReplayNeverTakesTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := replayFilter{limit: rapid.IntRange(1, 50).Draw(t, "limit")}
		now := vectorTime
		taken := make(map[replayKey]bool)
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "pause")))
			ago := time.Duration(rapid.Int64Range(-1, 22).Draw(t, "age")) * time.Second
			// Rounded, so that copies occur.
			k := replayKey{stamp(now.Add(-ago).Round(time.Second)), idOf(rapid.IntRange(0, 3).Draw(t, "id"))}
			if f.check(now, k.timestamp, k.id) == fresh {
				if taken[k] {
					t.Fatalf("%v taken twice", k)
				}
				taken[k] = true
			}
			if f.n > f.limit {
				t.Fatalf("%d entries, limit %d", f.n, f.limit)
			}
		}
	})
}
