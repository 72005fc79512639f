// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"slices"
	"testing"
	"time"
)

// Two that look for the same name share the look-up; one that goes away does
// not take the answer from the other (DHT-17).
func TestSharedLookup(t *testing.T) {
	b := newBus(t, 1)
	all := b.grow(3, time.Second, nil)
	key := b.key()
	b.register(all[0], key)
	b.run(5 * time.Second)
	n := b.add(nil)
	b.join(n, all[1].addr)
	b.run(10 * time.Second)
	delete(n.d.held, string(key)) // so that it must ask
	sent := b.sent
	b.do(n, func() {
		for id := uint64(101); id <= 103; id++ {
			n.d.Lookup(b.now, id, key)
		}
		n.d.Cancel(102)
		n.d.Cancel(99)
	})
	if b.sent-sent > n.d.cfg.Alpha {
		t.Errorf("%d requests", b.sent-sent)
	}
	b.run(lookupLife)
	want := []uint64{all[0].addr}
	if _, ok := n.found[102]; ok || !slices.Equal(n.found[101], want) || !slices.Equal(n.found[103], want) {
		t.Errorf("found %x", n.found)
	}
	// For a while the answer is used again.
	sent = b.sent
	b.finds(n, key, want...)
	if b.sent != sent {
		t.Error("asked again")
	}
	b.run(cacheLife + time.Second)
	b.finds(n, key, want...)
	if b.sent == sent {
		t.Error("not asked again")
	}
}

func TestCancelledLookupIsGone(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	s.d.Lookup(s.now, 1, stageKey)
	s.d.Cancel(1)
	if len(s.d.lookups) != 0 || len(s.d.waiting) != 0 {
		t.Errorf("%d look-ups", len(s.d.lookups))
	}
	for _, l := range s.d.active {
		if l.kind == findValue {
			t.Error("still under way")
		}
	}
	s.d.Lookup(s.now, 2, "short") // answered at once
	s.d.Cancel(2)
	s.d.Drain(func(uint64, []byte) {}, func(id uint64, addrs []uint64) { t.Errorf("%d answered with %x", id, addrs) })
}

// A member that does not answer is asked again, quickly; an answer to the first
// request counts though it comes late.
func TestPatience(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	s.meet(8)
	s.out = nil
	s.d.Lookup(s.now, 1, stageKey)
	s.drain()
	var first message // to 7
	for _, o := range s.out {
		if m := parsed(t, o.wire); m.kind == findValue && o.to == 7 {
			first = m
		}
	}
	if len(kinds(t, s.out, findValue)) != 2 || first.find.key == nil {
		t.Fatalf("asked %+v", s.out)
	}
	again := 0
	for range 29 { // until 1.45 s
		again += len(kinds(t, s.pass(50*time.Millisecond), findValue))
	}
	if again != 8 {
		t.Errorf("asked %d times again in 1.45 s, want 4 times each", again)
	}
	s.d.Receive(s.now, (&message{
		kind: foundValue, src: contactMsg{peerID(7), 7},
		node: nodeMsg{first.find.cookie, first.find.key, nil}, value: valueMsg{[][]byte{value(70)}},
	}).append(nil))
	var found []uint64
	s.d.Drain(func(uint64, []byte) {}, func(_ uint64, addrs []uint64) { found = addrs })
	if !slices.Equal(found, []uint64{70}) {
		t.Errorf("found %x", found)
	}
}

// An unknown name costs a few round trips, not the whole time; with members that
// vanished a little more.
func TestNegativeAnswer(t *testing.T) {
	b := newBus(t, 2)
	all := b.grow(100, 50*time.Millisecond, nil)
	b.run(5 * time.Second)
	var worst time.Duration
	for range 20 {
		got, took := b.lookup(all[b.rng.IntN(100)], b.key())
		if len(got) != 0 {
			t.Errorf("found %x", got)
		}
		worst = max(worst, took)
	}
	if worst > 500*time.Millisecond {
		t.Errorf("took %v", worst)
	}
	for _, m := range all[:20] {
		b.leave(m)
	}
	for range 20 {
		if _, took := b.lookup(all[20+b.rng.IntN(80)], b.key()); took >= lookupLife {
			t.Errorf("with silent members: %v", took)
		}
	}
}

// Only addresses are values: what else a C node may hold is ignored.
func TestUselessValues(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	s.d.Lookup(s.now, 1, stageKey)
	s.out = nil
	s.drain()
	m := kinds(t, s.out, findValue)[0]
	s.d.Receive(s.now, (&message{
		kind: foundValue, src: contactMsg{peerID(7), 7}, node: nodeMsg{m.find.cookie, m.find.key, []contactMsg{{count(0, 32), 1}}},
		value: valueMsg{[][]byte{nil, count(1, 4), count(1, 9), value(0), value(1)}},
	}).append(nil))
	answered := false
	s.d.Drain(func(uint64, []byte) {}, func(id uint64, addrs []uint64) { answered = id == 1 && len(addrs) == 0 })
	if !answered {
		t.Error("no negative answer")
	}
}
