// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"testing"
	"time"
)

// A member that routing lost is not chosen, and evicted soon; when it comes back it
// is a contact again.
func TestUnreachable(t *testing.T) {
	b := newBus(t, 4)
	all := b.grow(6, 100*time.Millisecond, nil)
	b.run(5 * time.Second)
	n, lost := all[0], all[3]
	b.leave(lost)
	b.do(n, func() { n.d.Unreachable(b.now, lost.addr) })
	b.drop = func(_ int, from, to uint64, m []byte) bool {
		if k := parsed(t, m).kind; from == n.addr && to == lost.addr && (k == findValue || k == store) {
			t.Errorf("a lost member was chosen for message %d", k)
		}
		return false
	}
	if _, took := b.lookup(n, b.key()); took > 200*time.Millisecond {
		t.Errorf("negative answer after %v", took)
	}
	b.run(5 * time.Second)
	if n.d.table.addrs[lost.addr] != nil {
		t.Error("still a contact")
	}
	b.drop = nil
	b.nodes[lost.addr] = lost
	b.do(n, func() { n.d.Neighbour(b.now, lost.addr) })
	b.run(time.Second)
	if c := n.d.table.addrs[lost.addr]; c == nil || c.spare {
		t.Error("not a contact again")
	}
}

// Contacts are checked when nothing was heard of them for long, and evicted when they
// are silent; nobody else must ask for that.
func TestSilentContactsAreEvicted(t *testing.T) {
	b := newBus(t, 4)
	all := b.grow(6, 100*time.Millisecond, nil)
	b.run(5 * time.Second)
	b.leave(all[2])
	b.run(all[0].d.cfg.Refresh + 10*time.Second)
	for i, n := range all {
		if i == 2 {
			continue
		}
		if n.d.table.addrs[all[2].addr] != nil || n.d.table.size != 4 {
			t.Errorf("%d has %d contacts", i, n.d.table.size)
		}
	}
	// A short interruption evicts nobody.
	b.drop = func(int, uint64, uint64, []byte) bool { return true }
	b.lookup(all[0], b.key())
	b.drop = nil
	b.run(2 * time.Second)
	if n := all[0].d; n.table.size != 4 || n.table.closest(n.id, 4, n.usable, nil)[0].failed != 0 {
		t.Errorf("%d contacts after an interruption", n.table.size)
	}
}

// A member with another id at the same address takes the place of the old one, as
// soon as it has answered.
func TestNewIDAtOldAddress(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	s.from(7, message{kind: findNode, src: contactMsg{peerID(700), 7}, find: findMsg{1, []byte(stageKey)}})
	if c := s.d.table.addrs[7]; c.id != string(peerID(7)) {
		t.Error("believed without an answer")
	}
	for _, o := range s.pass(2 * time.Second) {
		if m := parsed(t, o.wire); o.to == 7 && m.kind == findNode {
			s.d.Receive(s.now, (&message{kind: foundNode, src: contactMsg{peerID(700), 7}, node: nodeMsg{m.find.cookie, m.find.key, nil}}).append(nil))
		}
	}
	if c := s.d.table.addrs[7]; c == nil || c.id != string(peerID(700)) || c.spare || s.d.table.size != 1 {
		t.Errorf("contact %+v", c)
	}
}

// Two members with one id: the first stays as long as it answers.
func TestSameIDAtTwoAddresses(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	if out := kinds(t, s.from(8, message{kind: findNode, src: contactMsg{peerID(7), 8}, find: findMsg{1, []byte(stageKey)}}), findNode); len(out) != 0 {
		t.Error("the second was asked")
	}
	s.d.alive(string(peerID(7)), 8)
	if c := s.d.table.byID(string(peerID(7))); c.addr != 7 || s.d.table.size != 1 {
		t.Errorf("contact at %d", c.addr)
	}
}

// What a name costs: published at once, again soon, then at every interval, and
// not any more when it is unregistered.
func TestPublication(t *testing.T) {
	s := newStage(t)
	stores := func(d time.Duration) int { // answers all requests of ours
		n := 0
		for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(20 * time.Millisecond) {
			for _, o := range s.pass(0) {
				switch m := parsed(t, o.wire); m.kind {
				case store:
					if o.to != 7 || address(m.store.val) != 1 || m.store.expiry != uint32(s.now.Unix()+86400) {
						t.Errorf("stored %+v at %d", m.store, o.to)
					}
					n++
				case findNode:
					s.d.Receive(s.now, (&message{kind: foundNode, src: contactMsg{peerID(7), 7}, node: nodeMsg{m.find.cookie, m.find.key, nil}}).append(nil))
				}
			}
		}
		return n
	}
	s.d.Register(s.now, stageKey)
	s.d.Register(s.now, stageKey) // twice is once
	s.d.Register(s.now, "of another length")
	if n := stores(time.Minute); n != 0 {
		t.Errorf("%d STOREs to nobody", n)
	}
	s.meet(7)
	if n := stores(time.Second); n != 1 {
		t.Errorf("%d STOREs to the first contact, want 1", n)
	}
	if n := stores(5 * time.Second); n != 1 {
		t.Errorf("%d STOREs soon after, want 1", n)
	}
	if n := stores(901 * time.Second); n != 1 {
		t.Errorf("%d STOREs in an interval, want 1", n)
	}
	if got := s.d.Snapshot(s.now).Keys; len(got) != 1 || !got[0].Values[0].Own {
		t.Errorf("keys %+v", got)
	}
	s.d.Unregister(s.now, stageKey)
	s.d.Unregister(s.now, stageKey)
	if n := stores(1000 * time.Second); n != 0 || len(s.d.own) != 0 {
		t.Errorf("%d STOREs of an unregistered name", n)
	}
}
