// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/ipcp/capture"
)

func management(t *testing.T, file string) *capture.Flow {
	t.Helper()
	flows, err := capture.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if f.Kind == capture.Management {
			return f
		}
	}
	return nil
}

// Every announcement in the captures reads, and is written as it was.
func TestCaptureLSAs(t *testing.T) {
	total := 0
	for _, file := range capture.Names() {
		f := management(t, file)
		if f == nil {
			if !strings.HasPrefix(file, "bc-") {
				t.Errorf("%s: no management connection", file)
			}
			continue
		}
		n := 0
		for _, p := range f.Payload() {
			r, size, err := parseLSA(p.Data)
			if err != nil || size != len(p.Data) {
				t.Errorf("%s: % x: %d, %v", file, p.Data, size, err)
				continue
			}
			if b := r.appendLSA(nil); !bytes.Equal(b, p.Data) {
				t.Errorf("%s: % x becomes % x", file, p.Data, b)
			}
			n++
		}
		if n < 2 {
			t.Errorf("%s: %d announcements", file, n)
		}
		total += n
	}
	t.Logf("%d announcements", total)
}

// The members of the line (pcap/INDEX.md).
const (
	lineA = 2147203185
	lineB = 1464687913
	lineC = 664248248
)

// said is a recorded announcement, or one of ours.
type said struct {
	at time.Time
	to uint64
	record
}

// replay runs a State in the place of one C node of the line: what its
// neighbours say comes at the recorded times. Links come up when the C node
// first announced them, the connections when they were made.
type replay struct {
	t      *testing.T
	s      *State
	now    time.Time
	peers  []uint64 // by Peer
	ours   []said
	routes map[uint64][]uint64
}

func (r *replay) drain() {
	r.s.Drain(func(p Peer, pkt []byte) {
		lsa, n, err := parseLSA(pkt)
		if err != nil || n != len(pkt) {
			r.t.Errorf("sent to a prototype: % x", pkt)
			return
		}
		r.ours = append(r.ours, said{r.now, r.peers[p], lsa})
	}, func(routes []Route) {
		r.routes = make(map[uint64][]uint64)
		for _, x := range routes {
			r.routes[x.Dst] = slices.Clone(x.Next)
		}
	})
}

// until lets time pass.
func (r *replay) until(end time.Time) {
	for {
		d := r.s.Deadline()
		if d.IsZero() || d.After(end) {
			break
		}
		r.now = d
		r.s.Tick(d)
		r.drain()
	}
	r.now = end
}

// knew reports whether the neighbour was told of the link at that time, with
// that number or a higher one.
func (r *replay) knew(to uint64, want record, at time.Time) bool {
	return slices.ContainsFunc(r.ours, func(x said) bool {
		return x.to == to && x.link == want.link && x.seqno >= want.seqno && !x.at.After(at)
	})
}

// The recorded neighbours of each member of the line play against our state
// machine in its place. It must say all that the C node said, no later than 1.2 s
// after it (the copy to a prototype waits, and a second number follows), so that
// the recorded session would have gone on.
func TestReplayedLine(t *testing.T) {
	ab, bc := management(t, "line-eth1.pcap"), management(t, "line-eth2.pcap")
	type neighbour struct {
		addr uint64
		flow *capture.Flow
		asks bool // the neighbour is the requester
	}
	for self, neighbours := range map[uint64][]neighbour{
		lineA: {{lineB, ab, true}},
		lineB: {{lineA, ab, false}, {lineC, bc, true}},
		lineC: {{lineB, bc, false}},
	} {
		type happening struct {
			at time.Time
			do func(now time.Time)
		}
		r := &replay{t: t, s: New(Config{Self: self})}
		var all []happening
		var want []said
		for i, n := range neighbours {
			r.peers = append(r.peers, n.addr)
			made := n.flow.Packets[1].Time
			all = append(all, happening{made, func(now time.Time) { r.s.AddPeer(now, Peer(i), n.addr, Caps{}) }})
			up := false
			for _, p := range n.flow.Payload() {
				lsa, _, err := parseLSA(p.Data)
				if err != nil {
					t.Fatal(err)
				}
				if p.FromRequester == n.asks {
					all = append(all, happening{p.Time, func(now time.Time) { r.s.Receive(now, Peer(i), p.Data) }})
					continue
				}
				want = append(want, said{p.Time, n.addr, lsa})
				if !up && lsa.link == (link{dst: n.addr, src: self}) {
					up = true
					all = append(all, happening{p.Time, func(now time.Time) { r.s.LinkUp(now, n.addr) }})
				}
			}
		}
		slices.SortStableFunc(all, func(a, b happening) int { return a.at.Compare(b.at) })
		for _, h := range all {
			r.until(h.at)
			h.do(h.at)
			r.drain()
		}
		r.until(all[len(all)-1].at.Add(16 * time.Second))
		for _, w := range want {
			late := w.at.Add(1200 * time.Millisecond)
			if !r.knew(w.to, w.record, late) {
				t.Errorf("%x to %x at %v: %+v: not said by %v", self, w.to, w.at, w.record, late)
			}
		}
		for _, o := range r.ours {
			if o.src == o.to {
				t.Errorf("%x told %x of its own link %+v", self, o.to, o.record)
			}
		}
		wantRoutes := map[uint64]map[uint64][]uint64{
			lineA: {lineB: {lineB}, lineC: {lineB}},
			lineB: {lineA: {lineA}, lineC: {lineC}},
			lineC: {lineB: {lineB}, lineA: {lineB}},
		}[self]
		if !maps.EqualFunc(r.routes, wantRoutes, slices.Equal) {
			t.Errorf("routes of %x: %v, want %v", self, r.routes, wantRoutes)
		}
	}
}
