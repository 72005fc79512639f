// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// with changes bytes of a frame.
func with(frame []byte, at int, b ...byte) []byte {
	copy(frame[at:], b)
	return frame
}

// Frames that nobody of good will sends: each is counted, none does harm. The
// attacker has the address of the flow's peer, which is the worst case, or
// another one.
func TestHostileFrames(t *testing.T) {
	w := newWire(t, 1500)
	client, server, ports := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
	_, b := connect(t, client, server, ports, qos.Raw)
	client.Close() // sends no teardown: no capabilities were set
	f := b.(*flow)
	in := newSink(b)
	c := w.dial(t, 0, dix, server)
	remote := uint16(f.remote.Load())
	stranger := mac{2, 0, 0, 0, 0, 0x66}
	from := func(src mac, m message) []byte { return buildMessage(dix, c.to, src, m) }
	ask := request{eid: 64, qos: qos.Raw, dst: op}
	half := func(m message, n int) []byte {
		return build(dix, c.to, c.self, 0, 0, m.append(dix, nil)[:n])
	}
	toAll := func(m message) []byte { return buildMessage(dix, broadcast, c.self, m) }

	for _, x := range []struct {
		name string
		send []byte
		hit  func(Stats) uint64
	}{
		{"header cut off", c.message(ask)[:dixLen-1], func(s Stats) uint64 { return s.DropShort }},
		{"length beyond the frame", with(c.message(ask), 16, 0, 200), func(s Stats) uint64 { return s.DropMalformed }},
		{"length beyond everything", with(c.message(ask), 16, 0xff, 0xff), func(s Stats) uint64 { return s.DropMalformed }},
		{"data length beyond the frame", with(build(dix, c.to, c.self, f.eid, 0, []byte("abc")), 16, 0, 4), func(s Stats) uint64 { return s.DropMalformed }},
		{"empty message", half(ask, 0), func(s Stats) uint64 { return s.DropMalformed }},
		{"half a fixed part", half(ask, dixFixed-1), func(s Stats) uint64 { return s.DropMalformed }},
		{"request without hash", half(ask, dixFixed), func(s Stats) uint64 { return s.DropMalformed }},
		{"request with half a hash", half(ask, dixFixed+31), func(s Stats) uint64 { return s.DropMalformed }},
		{"query with half a hash", half(query{op}, dixFixed+31), func(s Stats) uint64 { return s.DropMalformed }},
		{"query reply with half a hash", half(queryReply{op}, dixFixed+31), func(s Stats) uint64 { return s.DropMalformed }},
		{"request of endpoint 0", c.message(request{qos: qos.Raw, dst: op}), func(s Stats) uint64 { return s.DropMalformed }},
		{"request to all", toAll(ask), func(s Stats) uint64 { return s.DropMalformed }},
		{"teardown to all", toAll(teardown{remote, f.eid}), func(s Stats) uint64 { return s.DropMalformed }},
		{"from a group", from(mac{3, 1, 1, 1, 1, 1}, ask), func(s Stats) uint64 { return s.DropMalformed }},
		{"unknown code", c.message(header{code: 5}), func(s Stats) uint64 { return s.DropCode }},
		{"reply for nobody", c.message(reply{eid: 64, peerEID: 65}), func(s Stats) uint64 { return s.DropStray }},
		{"reply for endpoint 65535", c.message(reply{eid: 65535, peerEID: 65}), func(s Stats) uint64 { return s.DropStray }},
		{"reply for a flow not pending", c.message(reply{eid: f.eid, peerEID: 65}), func(s Stats) uint64 { return s.DropStray }},
		{"refusal for a flow not pending", c.message(reply{eid: f.eid, response: -1}), func(s Stats) uint64 { return s.DropStray }},
		{"name reply unasked", c.message(queryReply{op}), func(s Stats) uint64 { return s.DropStray }},
		{"teardown for nobody", c.message(teardown{64, 65}), func(s Stats) uint64 { return s.DropStray }},
		{"teardown from a stranger", from(stranger, teardown{remote, f.eid}), func(s Stats) uint64 { return s.DropStray }},
		{"teardown with a wrong endpoint", c.message(teardown{remote ^ 1, f.eid}), func(s Stats) uint64 { return s.DropStray }},
		{"data for nobody", build(dix, c.to, c.self, f.eid^1, 0, nil), func(s Stats) uint64 { return s.DropNoFlow }},
		{"data for endpoint 65535", build(dix, c.to, c.self, 65535, 0, nil), func(s Stats) uint64 { return s.DropNoFlow }},
		{"data from a stranger", build(dix, c.to, stranger, f.eid, 0, []byte("evil")), func(s Stats) uint64 { return s.DropSource }},
		{"data to all", build(dix, broadcast, c.self, f.eid, 0, []byte("evil")), func(s Stats) uint64 { return s.DropSource }},
	} {
		before := x.hit(server.Stats())
		c.raw(x.send)
		eventually(t, x.name+" in the counters", func() bool { return x.hit(server.Stats()) == before+1 })
	}
	// Frames for others do not even reach the process (spec 60 §3.1).
	calls := server.Stats().RecvCalls
	c.raw(buildMessage(dix, mac{}, c.self, reply{eid: f.eid, peerEID: 65}))
	c.raw(buildMessage(dix, stranger, c.self, ask))
	c.raw(buildMessage(framing{ethertype: 0xA001}, c.to, c.self, ask))
	// Padding is no part of the packet; the flow still works.
	c.raw(append(build(dix, c.to, c.self, f.eid, 0, []byte("short")), make([]byte, 40)...))
	c.data(f.eid, 0, nil)
	if got := in.packets(t, 2); string(got[0]) != "short" || len(got[1]) != 0 {
		t.Errorf("got %q", got)
	}
	if s := server.Stats(); s.RecvCalls > calls+2 || s.DropForeign != 0 {
		t.Errorf("frames for others came up: %+v", s)
	}
	c.send(teardown{remote, f.eid})
	in.closed(t)
	c.silentAfterQuery()
}

// Ordinary 802.2 traffic of the network, and rubbish (ETH-2, ETH-4).
func TestHostileLLC(t *testing.T) {
	w := newWire(t, 1500)
	u, ports := acceptor(0)
	server := w.start(t, 1, ipcp.EthLLC, u)
	must(t, server.Register(t.Context(), op))
	c := w.dial(t, 0, llc, server)
	for _, b := range [][]byte{
		{0x00, 0x26, 0x42, 0x42, 0x03},       // spanning tree
		{0x00, 0x26, 0xaa, 0xaa, 0x03},       // SNAP
		{0x00, 0x03, 0x80, 0x80, 0xaf},       // XID
		{0x00, 0x26, 0xfc, 0xfe, 0x03},       // SAP 127
		{0x00, 0x26, 0x06, 0x06, 0x03, 0x45}, // IP, once
	} {
		c.raw(append(append(append([]byte(nil), c.to[:]...), c.self[:]...), append(b, make([]byte, 46)...)...))
	}
	before := server.Stats()
	if before.RecvCalls != 0 {
		t.Errorf("came up: %+v", before)
	}
	for i, b := range [][]byte{{0, 2}, {0, 0}, {0x05, 0xdc}, {0, 200}} {
		c.raw(with(c.message(teardown{2, 3}), 12, b...))
		eventually(t, "bad length in the counters", func() bool { return server.Stats().DropMalformed == uint64(i+1) })
	}
	for _, id := range []uint16{0, 1, 64, 255} {
		before := server.Stats().DropMalformed
		c.send(request{eid: id, qos: qos.Raw, dst: op})
		eventually(t, "request of a bad SAP", func() bool { return server.Stats().DropMalformed == before+1 })
	}
	c.send(request{eid: 5, qos: qos.Raw, dst: op})
	r := c.recvMessage().(reply)
	in := newSink(<-ports)
	c.data(r.peerEID, 6, []byte("wrong SAP"))
	c.data(r.peerEID, 1, []byte("management SAP"))
	c.data(r.peerEID, 5, []byte("right"))
	if got := in.packets(t, 1); string(got[0]) != "right" {
		t.Errorf("got %q", got)
	}
	if s := server.Stats(); s.DropSource != 2 {
		t.Errorf("%+v", s)
	}
}

// Random frames at full speed, while a flow works and at the end closes.
func TestFloodOfRubbish(t *testing.T) {
	w := newWire(t, 1500)
	client, server, ports := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
	a, b := connect(t, client, server, ports, qos.Raw)
	in := newSink(b)
	evil := w.beside(t, 0, server)
	r := rand.New(rand.NewPCG(1, 2))
	stop, done := make(chan struct{}), make(chan struct{})
	defer func() {
		close(stop)
		<-done
	}()
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			p := make([]byte, r.IntN(100))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			if len(p) > 37 {
				p[37] %= 6
			}
			d := build(dix, evil.to, mac{2, byte(r.Uint32())}, uint16(r.Uint32N(2)*r.Uint32()), 0, p)
			if r.Uint32N(8) == 0 {
				binary.BigEndian.PutUint16(d[16:], uint16(r.Uint32()))
			}
			unix.Write(evil.s.fd, d)
		}
	}()
	eventually(t, "100 packets under fire", func() bool {
		a.Send(buffers(checked(1, 500), checked(2, 500)))
		in.mu.Lock()
		defer in.mu.Unlock()
		return len(in.got) >= 100
	})
	must(t, server.Close()) // does not wait for a pause
	in.closed(t)
}
