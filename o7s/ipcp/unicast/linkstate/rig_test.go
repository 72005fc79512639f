// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// rig drives one State by hand. Peers have the address of their number.
type rig struct {
	t      *testing.T
	s      *State
	start  time.Time
	now    time.Time
	sent   map[Peer][]record
	pkts   map[Peer][][]byte
	routes map[uint64][]uint64
	calls  int // of the function for routes
}

const self = 100

var extended = Caps{Batch: true, Withdraw: true}

func newRig(t *testing.T) *rig {
	start := time.Unix(1e9, 0)
	return &rig{t: t, s: New(Config{Self: self}), start: start, now: start, sent: map[Peer][]record{}, pkts: map[Peer][][]byte{}}
}

func (r *rig) do(f func(now time.Time)) {
	r.t.Helper()
	f(r.now)
	r.s.Drain(func(p Peer, pkt []byte) {
		r.pkts[p] = append(r.pkts[p], bytes.Clone(pkt))
		if bytes.Equal(pkt, filler) {
			return
		}
		if x, _, err := parseWithdrawal(pkt); err == nil {
			r.sent[p] = append(r.sent[p], x)
			return
		}
		for len(pkt) > 0 {
			x, n, err := parseLSA(pkt)
			if err != nil {
				r.t.Fatalf("sent % x: %v", pkt, err)
			}
			r.sent[p] = append(r.sent[p], x)
			pkt = pkt[n:]
		}
	}, func(routes []Route) {
		r.calls++
		r.routes = make(map[uint64][]uint64)
		for _, x := range routes {
			r.routes[x.Dst] = slices.Clone(x.Next)
		}
	})
}

func (r *rig) peer(p Peer, caps Caps) {
	r.do(func(now time.Time) { r.s.AddPeer(now, p, uint64(p), caps) })
}
func (r *rig) up(a uint64)   { r.do(func(now time.Time) { r.s.LinkUp(now, a) }) }
func (r *rig) down(a uint64) { r.do(func(now time.Time) { r.s.LinkDown(now, a) }) }
func (r *rig) packet(p Peer, b []byte) {
	r.do(func(now time.Time) { r.s.Receive(now, p, b) })
}

// lsa and withdrawal make what a peer says.
func lsa(src, dst, seqno uint64) record { return record{link: link{dst, src}, seqno: seqno} }
func withdrawal(src, dst, seqno uint64) record {
	return record{link: link{dst, src}, seqno: seqno, gone: true}
}

func (r *rig) hear(p Peer, x record) {
	if x.gone {
		r.packet(p, x.appendWithdrawal(nil))
	} else {
		r.packet(p, x.appendLSA(nil))
	}
}

// pass lets time pass, as a driver would.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for i := 0; ; i++ {
		next := r.s.Deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if i > 100000 {
			r.t.Fatal("the deadline does not move")
		}
		if next.After(r.now) {
			r.now = next
		}
		r.do(r.s.Tick)
	}
	r.now = end
}

// take returns what was sent to a peer since the last time.
func (r *rig) take(p Peer) []record {
	x := r.sent[p]
	r.sent[p], r.pkts[p] = nil, nil
	return x
}

// want checks what was sent to a peer since the last time.
func (r *rig) want(p Peer, want ...record) {
	r.t.Helper()
	if got := r.take(p); !slices.Equal(got, want) {
		r.t.Errorf("%v after the start peer %d got %+v, want %+v", r.now.Sub(r.start), p, got, want)
	}
}

// settle makes peers whose copies are through, and forgets what they got.
func (r *rig) settle(caps Caps, peers ...Peer) {
	for _, p := range peers {
		r.peer(p, caps)
	}
	r.pass(2 * copyAgain)
	for _, p := range peers {
		r.take(p)
	}
}
