// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"testing"
	"time"
)

// FuzzReceive lets two peers say anything, one of ours and a prototype, while
// own links come and go. The first byte of each step says what happens, the
// second how much time goes by; records are of few addresses, so that they meet.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2, 3, 4, 5, 6, 7, 0, 9, 9, 9, 9, 9, 4, 0, 2, 100})
	f.Add([]byte{2, 0, 0, 1, 2, 200, 3, 0, 1, 2, 3, 3, 0, 1, 2, 255})
	f.Fuzz(func(t *testing.T, in []byte) {
		s := New(Config{Self: 1, Policy: Policy(len(in) % 3)})
		now := time.Unix(1e9, 0)
		s.AddPeer(now, 0, 2, Caps{Batch: true, Withdraw: true})
		s.AddPeer(now, 1, 3, Caps{})
		next := func() byte {
			if len(in) == 0 {
				return 0
			}
			c := in[0]
			in = in[1:]
			return c
		}
		for len(in) > 0 {
			op, d := next(), next()
			now = now.Add(time.Duration(d) * time.Duration(d) * 10 * time.Millisecond)
			p := Peer(op >> 7)
			r := record{link: link{uint64(next() % 5), uint64(next() % 5)}, seqno: uint64(next())}
			if r.seqno > 250 {
				r.seqno += 1<<63 - 252
			}
			switch op % 8 {
			case 0, 1:
				s.Receive(now, p, r.appendLSA(nil))
			case 2, 3:
				s.Receive(now, p, r.appendWithdrawal(nil))
			case 4:
				n := min(len(in), int(next()))
				n = min(n, len(in))
				s.Receive(now, p, in[:n])
				in = in[n:]
			case 5:
				s.LinkUp(now, r.dst)
			case 6:
				s.LinkDown(now, r.dst)
			case 7:
				if d%2 == 0 {
					s.RemovePeer(now, p)
				} else {
					s.AddPeer(now, p, uint64(2+p), Caps{Batch: p == 0, Withdraw: p == 0})
				}
			}
			s.Drain(func(p Peer, pkt []byte) {
				if p == 1 && len(pkt) != lsaSize && len(pkt) != len(filler) || len(pkt) > lsaSize*batch {
					t.Fatalf("% x to peer %d", pkt, p)
				}
			}, func(routes []Route) {
				for _, r := range routes {
					if len(r.Next) == 0 || r.Dst == 1 {
						t.Fatalf("route %+v", r)
					}
				}
			})
			check(t, s)
		}
		// In an hour without a word all that others said is forgotten, and
		// deadlines lead there.
		end := now.Add(time.Hour)
		for i := 0; ; i++ {
			d := s.Deadline()
			if d.IsZero() || d.After(end) {
				break
			}
			if i > 100000 {
				t.Fatal("the deadline does not move")
			}
			s.Tick(d)
			s.Drain(func(Peer, []byte) {}, func([]Route) {})
		}
		s.Tick(end)
		check(t, s)
		for l, e := range s.db.entries {
			if l.src != 1 || e.gone {
				t.Errorf("%+v is left", e.record)
			}
		}
	})
}

// check looks whether database, graph and lists agree.
func check(t testing.TB, s *State) {
	t.Helper()
	alive, arcs := 0, 0
	refs := map[uint64]int32{}
	for l, e := range s.db.entries {
		if l != e.link || !e.valid() && e.src != s.cfg.Self {
			t.Fatalf("entry %+v at %+v", e.record, l)
		}
		back := s.db.entries[link{dst: l.src, src: l.dst}]
		usable := !e.gone && back != nil && !back.gone
		if usable != (e.pos != none) {
			t.Fatalf("%+v is in use: %v", e.record, e.pos != none)
		}
		if e.pos != none {
			arcs++
			if s.db.vertices[e.from].arcs[e.pos].e != e {
				t.Fatalf("%+v has the arc of another link", e.record)
			}
		}
		own := l.src == s.cfg.Self
		switch {
		case e.gone && e.in != &s.db.graves, !e.gone && !own && e.in != &s.db.links, !e.gone && own && e.in != nil:
			t.Fatalf("%+v is in the wrong list", e.record)
		}
		if !e.gone {
			alive++
			refs[l.src]++
			refs[l.dst]++
		}
	}
	if alive != s.db.alive || arcs != s.db.arcs || len(refs) != len(s.db.index) {
		t.Fatalf("%d links, %d arcs, %d vertices; counted %d, %d, %d", s.db.alive, s.db.arcs, len(s.db.index), alive, arcs, len(refs))
	}
	for a, v := range s.db.index {
		if x := s.db.vertices[v]; x.refs != refs[a] || x.addr != a {
			t.Fatalf("vertex %+v, want %d references", x, refs[a])
		}
	}
	n := 0
	for _, list := range []*ages{&s.db.links, &s.db.graves} {
		last := -never
		for e := list.head; e != nil; e = e.next {
			if e.seen < last {
				t.Fatal("list is not in order of age")
			}
			last = e.seen
			n++
		}
	}
	for _, o := range s.own {
		if e := s.db.entries[link{dst: o.addr, src: s.cfg.Self}]; e != nil && !e.gone {
			n++
			if !o.up {
				t.Fatalf("link to %d is down and announced", o.addr)
			}
		}
	}
	if n != len(s.db.entries) {
		t.Fatalf("%d entries, %d in lists", len(s.db.entries), n)
	}
}
