// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/layer"
)

// A replay puts our machine in the place of one C node of a recording, with its
// id and address, and plays to it what the others sent. Whatever the C node
// sent our machine must send too. What it asks on its own, to see whether the
// others are alive, they answer as C nodes do.
type replay struct {
	t     *testing.T
	d     *DHT
	self  uint64
	exact bool // answers must be equal byte by byte

	peer  uint64            // it joined by
	ids   map[uint64][]byte // of the others
	sent  []sentMessage
	found map[uint64][]uint64
	again map[uint64]uint64 // our cookie for each recorded one
}

type sentMessage struct {
	to    uint64
	wire  []byte
	taken bool // compared with a recorded message
}

func (r *replay) drain(now time.Time) {
	r.d.Drain(func(to uint64, msg []byte) {
		r.sent = append(r.sent, sentMessage{to: to, wire: bytes.Clone(msg)})
		m := parsed(r.t, msg)
		if m.kind == findNode && (to != r.peer || len(r.again) > 0) { // else the recording answers
			m.node = nodeMsg{m.find.cookie, m.find.key, []contactMsg{m.src}}
			m.kind, m.src = foundNode, contactMsg{r.ids[to], to}
			r.d.Receive(now, m.append(nil))
		}
	}, func(id uint64, addrs []uint64) { r.found[id] = addrs })
}

func parsed(t testing.TB, wire []byte) message {
	t.Helper()
	var m message
	if err := m.parse(wire); err != nil {
		t.Fatalf("%x: %v", wire, err)
	}
	return m
}

// take returns the first message of ours, not compared before, that fits.
func (r *replay) take(to uint64, fits func(m message) bool) []byte {
	for i := range r.sent {
		if s := &r.sent[i]; !s.taken && s.to == to && fits(parsed(r.t, s.wire)) {
			s.taken = true
			return s.wire
		}
	}
	return nil
}

// theirs plays a message of another C node. In a response our cookie takes the place
// of that of the C node; the second copy gets the same again.
func (r *replay) theirs(now time.Time, wire []byte) {
	m := parsed(r.t, wire)
	if m.kind == foundNode || m.kind == foundValue {
		ours, ok := r.again[m.node.cookie]
		if !ok {
			for _, s := range r.sent {
				if o := parsed(r.t, s.wire); s.to == m.src.addr && o.kind+1 == m.kind && bytes.Equal(o.find.key, m.node.key) {
					ours = o.find.cookie
				}
			}
			r.again[m.node.cookie] = ours
		}
		m.node.cookie = ours
		wire = m.append(nil)
	}
	r.d.Receive(now, wire)
	r.drain(now)
}

// ours checks that our machine does what the C node did.
func (r *replay) ours(now time.Time, to uint64, wire []byte) {
	want := parsed(r.t, wire)
	describe := fmt.Sprintf("%s: message %d to %x", now.Format("05.000000"), want.kind, to)
	switch want.kind {
	case findNode:
		if r.peer == 0 {
			r.peer = to
			r.d.Join(now, to)
			r.drain(now)
		}
		fallthrough
	case findValue:
		if want.kind == findValue {
			r.d.Lookup(now, uint64(len(r.found)+1), layer.Hash(want.find.key))
			r.drain(now)
		}
		// The C node sends its first request twice.
		if !slices.ContainsFunc(r.sent, func(s sentMessage) bool {
			m := parsed(r.t, s.wire)
			m.find.cookie = want.find.cookie
			return s.to == to && bytes.Equal(m.append(nil), wire)
		}) {
			r.t.Errorf("%s: not asked", describe)
		}
	case store:
		r.d.Register(now, layer.Hash(want.store.key))
		r.drain(now)
		if got := r.take(to, func(m message) bool { return m.kind == store }); !bytes.Equal(got, wire) {
			r.t.Errorf("%s: stored\n%x, captured\n%x", describe, got, wire)
		}
	default:
		got := r.take(to, func(m message) bool { return m.kind == want.kind && m.node.cookie == want.node.cookie })
		if got == nil {
			r.t.Errorf("%s: not answered", describe)
			return
		}
		m := parsed(r.t, got)
		// Some of the members that the C node names; never none.
		if len(m.node.contacts) == 0 {
			r.t.Errorf("%s: no contacts", describe)
		}
		for _, c := range m.node.contacts {
			if !slices.ContainsFunc(want.node.contacts, func(w contactMsg) bool { return w.addr == c.addr && bytes.Equal(w.id, c.id) }) {
				r.t.Errorf("%s: contact %x", describe, c.addr)
			}
		}
		if !r.exact {
			m.node.contacts = want.node.contacts
		}
		if again := m.append(nil); !bytes.Equal(again, wire) {
			r.t.Errorf("%s: answered\n%x, captured\n%x", describe, again, wire)
		}
	}
}

func TestReplay(t *testing.T) {
	const a, b, c = 0x7ffbb871, 0x574d5d29, 0x27979fb8 // of the line
	line := []string{"line-eth1.pcap", "line-eth2.pcap"}
	for _, s := range []struct {
		who   string
		self  uint64
		files []string
	}{
		{"uni-dix A", 0x1ea2b69e, []string{"uni-dix.pcap"}},
		{"uni-dix B", 0xb98119b0, []string{"uni-dix.pcap"}},
		{"uni-udp4 A", 0x695292d9, []string{"uni-udp4.pcap"}},
		{"uni-udp4 B", 0x671c0dbc, []string{"uni-udp4.pcap"}},
		{"uni-dix-data A", 0x137c01a8, []string{"uni-dix-data.pcap"}},
		{"SHA3-384 A", 0x5ed9ffd8, []string{"uni-dix-sha384-ecmp-nocc.pcap"}},
		{"SHA3-384 B", 0xff5ee4b4, []string{"uni-dix-sha384-ecmp-nocc.pcap"}},
		{"line A", a, line},
		{"line B", b, line},
		{"line C", c, line},
	} {
		t.Run(s.who, func(t *testing.T) {
			var all []capture.PDU
			for _, f := range s.files {
				for _, p := range captured(t, f) {
					// B forwards: what passes it is in both recordings.
					if len(s.files) == 1 || p.TTL == 60 {
						all = append(all, p)
					}
				}
			}
			slices.SortStableFunc(all, func(x, y capture.PDU) int { return x.Time.Compare(y.Time) })
			r := &replay{t: t, self: s.self, exact: len(s.files) == 1, found: make(map[uint64][]uint64), again: make(map[uint64]uint64), ids: make(map[uint64][]byte)}
			for _, p := range all {
				m := parsed(t, p.Payload)
				r.ids[m.src.addr] = m.src.id
			}
			played := 0
			for _, p := range all {
				src := parsed(t, p.Payload).src.addr
				if src != s.self && p.Dst != s.self {
					continue
				}
				if r.d == nil {
					r.d = New(Config{Self: s.self, ID: r.ids[s.self]}, p.Time)
				}
				r.d.Tick(p.Time)
				r.drain(p.Time)
				if src == s.self {
					r.ours(p.Time, p.Dst, p.Payload)
				} else {
					r.theirs(p.Time, p.Payload)
				}
				played++
			}
			if played < 4 {
				t.Fatalf("only %d messages", played)
			}
			if s.who == "line C" && (len(r.found) == 0 || !slices.Equal(r.found[1], []uint64{a})) {
				t.Errorf("found %x, want %x", r.found, a)
			}
			if s := r.d.Snapshot(all[len(all)-1].Time).Counters; s.Malformed+s.Rejected > 0 {
				t.Errorf("refused messages of a C node: %+v", s)
			}
		})
	}
}
