// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"slices"
	"testing"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Whatever comes in is dropped and counted; nothing is ever sent to an
// endpoint that no flow can have (FA-1).
func TestHostileMessages(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		var k sink
		p.accepted.Receive(&k)
		f := p.accepted.(*flow)
		before := len(p.parcels(bob))
		send := func(m message) { p.b.Manage(buffers(string(m.append(nil)))) }

		for _, eid := range []uint64{0, 1, 63, noEID} {
			send(request{source: alice, eid: eid, qos: qos.Raw, dst: oping})
			send(reply{eid: eid, peerEID: 100})
			send(update{eid: eid, ece: 8160})
			send(teardown{source: alice, eid: eid, peerEID: f.remote.Load()})
			p.b.Deliver(eid, 255, buffers("x"))
		}
		send(request{source: 0, eid: 100, qos: qos.Raw, dst: oping})
		send(request{source: bob, eid: 100, qos: qos.Raw, dst: oping})
		send(reply{eid: f.eid, peerEID: 100})                                       // no requester
		send(teardown{source: alice, eid: f.eid, peerEID: f.remote.Load() + 1})     // wrong endpoint
		send(teardown{source: carol, eid: f.eid, peerEID: f.remote.Load()})         // wrong member
		send(teardown{source: alice, eid: f.eid ^ 1<<63, peerEID: f.remote.Load()}) // stale
		send(update{eid: f.eid ^ 1<<63, ece: 1})                                    // stale
		p.b.Deliver(f.eid^1<<63, 0, buffers("x", "y"))                              // stale
		p.b.Manage(buffers("", "short", string(make([]byte, maxMessage+1))))        // illegal lengths
		p.b.Manage(buffers(string(header{code: 4}.append(nil)), string(header{code: 255}.append(nil))))

		s := p.b.Stats()
		if s.DropMalformed != 4+2+3 || s.DropCode != 2 || s.DropSource != 2 || s.DropStray != 12+1+1+1 || s.DropNoFlow != 4+2 {
			t.Errorf("%+v", s)
		}
		if got := len(p.parcels(bob)); got != before {
			t.Errorf("%d messages were sent in return", got-before)
		}
		if s.Flows != 1 || len(k.seen()) != 0 || len(k.packets()) != 0 {
			t.Errorf("%+v: %v, %q", s, k.seen(), k.packets())
		}
		p.client.Send(buffers("still there"))
		if got := k.packets(); !slices.Equal(got, []string{"still there"}) {
			t.Errorf("received %q", got)
		}
	})
}

// A notice for a request under way is nobody's.
func TestTeardownOfPending(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		a := n.join(alice, ca.MBECN, nil)
		n.members[bob] = &prototype{door: door{n, bob}, reply: func(req request) []reply {
			a.Manage(buffers(string(teardown{source: bob, eid: req.eid, peerEID: noEID}.append(nil))))
			return []reply{{eid: req.eid, peerEID: 100}}
		}}
		if _, _, err := a.Allocate(t.Context(), bob, oping, qos.Raw, nil); err != nil || a.Stats().DropStray != 1 {
			t.Errorf("%v, %+v", err, a.Stats())
		}
		a.Close()
	})
}

// FuzzManage gives a member with a flow, and a request under way, any message, with the
// right endpoints put in where the first byte says so.
func FuzzManage(f *testing.F) {
	for _, v := range vectors {
		for fix := range byte(8) {
			f.Add(fix, uint8(9), unhex(f, v.hex))
		}
	}
	f.Fuzz(func(t *testing.T, fix, ecn byte, b []byte) {
		n := newNetwork()
		n.members[alice] = silent{}
		s := &server{caps: layer.CapTeardown}
		a := n.join(bob, ca.MBECN, s)
		defer a.Close()
		a.Manage(buffers(string(request{source: alice, eid: 100, qos: qos.Raw, dst: oping}.append(nil))))
		port := s.accepted()[0].(*flow)
		var k sink
		port.Receive(&k)
		pending := a.newFlow(alice, qos.Raw)
		pending.answer = make(chan reply, 1)
		if err := a.flows.add(pending, port.since); err != nil {
			t.Fatal(err)
		}
		if len(b) >= headerLen {
			put := func(at int, v uint64) { copy(b[at:], header{source: v}.append(nil)[:8]) }
			switch fix & 3 {
			case 1:
				put(8, port.eid)
			case 2:
				put(8, pending.eid)
			}
			if fix&4 != 0 {
				put(16, 100)
				put(0, alice)
			}
		}
		a.Deliver(port.eid, ecn, buffers(string(b[:min(len(b), 9000)])))
		a.Manage(buffers(string(b[:min(len(b), packet.MaxPayload)])))
		for _, p := range n.parcels(bob) {
			if p.eid != manageEID && !validEID(p.eid) {
				t.Fatalf("sent to endpoint %x", p.eid)
			}
			switch m := p.message(t).(type) {
			case reply:
				if !validEID(m.eid) {
					t.Fatalf("sent %+v", m)
				}
			case update:
				if !validEID(m.eid) {
					t.Fatalf("sent %+v", m)
				}
			}
		}
	})
}
