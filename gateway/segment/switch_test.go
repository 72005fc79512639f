// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

const flowMTU = 1400

// expect checks what the interface of a machine got.
func expect(t testing.TB, what string, m *machine, want ...[]byte) {
	t.Helper()
	if got := m.take(); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s: got %d frames %x, want %d", what, len(got), got, len(want))
	}
}

// Two machines: what goes to all arrives, answers are learnt, frames longer
// than a packet of the flow arrive whole.
func TestTwoMachines(t *testing.T) {
	a, b := newMachine(t, 1, Defaults()), newMachine(t, 2, Defaults())
	pa, pb := join(t, a, b, flowMTU)
	ask := frame(everybody, host(1), 60, 1)
	a.say(ask)
	deliver(t, 10, a, b)
	expect(t, "broadcast", b, ask)
	answer := frame(host(1), host(2), 1514, 2)
	b.say(answer)
	if n := deliver(t, 10, a, b); n != 2 {
		t.Errorf("%d packets", n)
	}
	expect(t, "answer", a, answer)
	vlan := tagged(frame(host(2), host(1), 1514, 3), 9)
	a.say(vlan) // not the VLAN that is known
	deliver(t, 10, a, b)
	expect(t, "VLAN", b, vlan)
	expect(t, "nothing comes back", a)
	if pa.macs.Load() != 1 || pb.macs.Load() != 2 || a.local.macs.Load() != 2 || a.local.counts.flooding.Load() != 0 {
		t.Errorf("stations %d %d %d", pa.macs.Load(), pb.macs.Load(), a.local.macs.Load())
	}
	if pa.tx.frames.Load() != 2 || pb.rx.frames.Load() != 2 || pb.rx.bytes.Load() != 60+1518 || a.local.rx.bytes.Load() != 60+1518 {
		t.Errorf("sent %d, received %d frames of %d bytes", pa.tx.frames.Load(), pb.rx.frames.Load(), pb.rx.bytes.Load())
	}
}

// A hub relays from spoke to spoke, or not.
func TestHub(t *testing.T) {
	for _, relay := range []bool{true, false} {
		cfg := Defaults()
		cfg.Relay = relay
		hub, a, b, c := newMachine(t, 9, cfg), newMachine(t, 1, cfg), newMachine(t, 2, cfg), newMachine(t, 3, cfg)
		all := []*machine{hub, a, b, c}
		for _, m := range all[1:] {
			join(t, m, hub, flowMTU)
		}
		ask := frame(everybody, host(1), 60, 1)
		a.say(ask)
		n := deliver(t, 10, all...)
		expect(t, "hub", hub, ask)
		if !relay {
			if n != 1 {
				t.Errorf("%d packets", n)
			}
			expect(t, "other spoke", b)
			b.say(frame(host(1), host(2), 60, 1))
			deliver(t, 10, all...)
			expect(t, "unicast to other spoke", a)
			expect(t, "unicast at hub", hub)
			continue
		}
		if n != 3 {
			t.Errorf("%d packets for a broadcast, want 3", n)
		}
		expect(t, "b", b, ask)
		expect(t, "c", c, ask)
		expect(t, "a", a)
		answer := frame(host(1), host(2), 1514, 2)
		b.say(answer)
		if n := deliver(t, 10, all...); n != 4 { // two hops in two fragments
			t.Errorf("%d packets for an answer", n)
		}
		expect(t, "answer", a, answer)
		expect(t, "answer at hub", hub)
		expect(t, "answer elsewhere", c)
		// To somebody behind the same flow: filtered where it arrives.
		a.say(frame(host(2), host(1), 60, 3))
		deliver(t, 10, all...)
		expect(t, "b", b, frame(host(2), host(1), 60, 3))
	}
}

// In a triangle of flows, each frame comes once to each, and the packets are
// few; so with several flows between the same two.
func TestLoopsDoNotStorm(t *testing.T) {
	a, b, c := newMachine(t, 1, Defaults()), newMachine(t, 2, Defaults()), newMachine(t, 3, Defaults())
	all := []*machine{a, b, c}
	for range 2 {
		join(t, a, b, flowMTU)
		join(t, b, c, flowMTU)
		join(t, c, a, flowMTU)
	}
	for i := range 100 {
		f := frame(everybody, host(1), 1514, byte(i))
		a.say(f)
		if n := deliver(t, 100, all...); n > 60 {
			t.Fatalf("%d packets for a broadcast", n)
		}
		expect(t, "b", b, f)
		expect(t, "c", c, f)
		expect(t, "a", a)
	}
	f := frame(host(1), host(3), 60, 1)
	c.say(f)
	if n := deliver(t, 10, all...); n != 1 {
		t.Errorf("%d packets to a station that is known", n)
	}
	expect(t, "a", a, f)
}

// A unicast frame that tables send in a circle comes to an end.
func TestUnicastLoop(t *testing.T) {
	a, b, c := newMachine(t, 1, Defaults()), newMachine(t, 2, Defaults()), newMachine(t, 3, Defaults())
	ab, ba := join(t, a, b, flowMTU)
	bc, cb := join(t, b, c, flowMTU)
	ca, ac := join(t, c, a, flowMTU)
	_, _, _ = ba, cb, ac
	_, nobody, _ := parseFrame(frame(everybody, host(7), 60, 0))
	a.table.learn(nobody, ab, 0)
	b.table.learn(nobody, bc, 0)
	c.table.learn(nobody, ca, 0)
	a.say(frame(host(7), host(1), 60, 0))
	if n := deliver(t, 10, a, b, c); n != 3 {
		t.Errorf("%d packets", n)
	}
	// Also when the filters have forgotten.
	n := 0
	a.say(frame(host(7), host(1), 60, 0))
	for _, m := range []*machine{b, c} {
		m.id, m.repeats = 1, newRepeats()
	}
	a.id = 1 << 40
	for range 20 { // up to three hops each
		a.repeats, b.repeats, c.repeats = newRepeats(), newRepeats(), newRepeats()
		for _, m := range []*machine{a, b, c} {
			for _, p := range m.ports {
				f := p.flow.(*fakeFlow)
				if pkts := f.take(); len(pkts) > 0 {
					n += len(pkts)
					f.to[0].Packets(pkts)
				}
			}
		}
	}
	if n > maxHops+1 {
		t.Errorf("%d packets, the limit of hops is %d", n, maxHops)
	}
}

// A station that moves is found at its new place at once.
func TestStationMoves(t *testing.T) {
	hub, a, b := newMachine(t, 9, Defaults()), newMachine(t, 1, Defaults()), newMachine(t, 2, Defaults())
	all := []*machine{hub, a, b}
	_, toA := join(t, a, hub, flowMTU)
	join(t, b, hub, flowMTU)
	a.say(frame(everybody, host(1), 60, 0))
	deliver(t, 10, all...)
	b.say(frame(everybody, host(1), 60, 0))
	deliver(t, 10, all...)
	for _, m := range all {
		m.take()
	}
	f := frame(host(1), host(9), 60, 1)
	hub.say(f)
	deliver(t, 10, all...)
	expect(t, "new place", b, f)
	expect(t, "old place", a)
	if hub.table.moves.Load() != 1 || hub.table.size() != 2 {
		t.Errorf("%d moves, %d stations", hub.table.moves.Load(), hub.table.size())
	}
	// Its flow ends: it is sought everywhere.
	before := toA.tx.frames.Load()
	hub.remove(hub.ports[1])
	hub.say(f)
	if toA.tx.frames.Load() != before+1 {
		t.Error("not sought after the end of its flow")
	}
}

func TestStationAges(t *testing.T) {
	a, b, c := newMachine(t, 1, Defaults()), newMachine(t, 2, Defaults()), newMachine(t, 3, Defaults())
	all := []*machine{a, b, c}
	join(t, b, a, flowMTU)
	join(t, c, a, flowMTU)
	b.say(frame(everybody, host(2), 60, 0))
	deliver(t, 10, all...)
	a.table.age(a.clock() + 1)
	c.table.age(c.clock() + 1)
	c.take()
	f := frame(host(2), host(1), 60, 0)
	a.say(f)
	deliver(t, 10, all...)
	expect(t, "b", b, f)
	expect(t, "c", c, f)
}

// With a broadcast layer what goes to all goes there, answers take the flow to
// the member that it came from, if there is one.
func TestLayerAndFlows(t *testing.T) {
	cfg := Defaults()
	cfg.Relay = false
	a, b, c := newMachine(t, 1, cfg), newMachine(t, 2, cfg), newMachine(t, 3, cfg)
	all := []*machine{a, b, c}
	var flows []*fakeFlow
	var ports []*port
	for _, m := range all {
		p, f := attach(t, m, broadcast, flowMTU)
		flows, ports = append(flows, f), append(ports, p)
	}
	for i, f := range flows {
		f.to = []*port{ports[(i+1)%3], ports[(i+2)%3], ports[i]} // the layer may say it to ourselves too
	}
	ab, ba := join(t, a, b, flowMTU)
	a.sayHello(ab)
	b.sayHello(ba)
	deliver(t, 10, all...)
	for _, m := range []struct {
		*machine
		*port
	}{{a, ab}, {b, ba}} {
		<-m.hello
		m.meet(m.port)
	}
	ask := frame(everybody, host(1), 1514, 1)
	a.say(ask)
	if n := deliver(t, 10, all...); n != 6 { // in two fragments to three
		t.Errorf("%d packets", n)
	}
	expect(t, "b", b, ask)
	expect(t, "c", c, ask)
	for i, m := range []*machine{b, c} {
		before := ports[0].rx.frames.Load()
		f := frame(host(1), host(2+i), 60, 2)
		m.say(f)
		deliver(t, 10, all...)
		expect(t, "answer", a, f)
		if by := ports[0].rx.frames.Load() - before; by != uint64(i) {
			t.Errorf("%d frames of machine %d came by the layer", by, i+2)
		}
	}
	expect(t, "the layer's copy of the answer", b)
	// The layer goes: the flows do what they can.
	for i, m := range all {
		m.remove(ports[i])
	}
	a.say(ask)
	deliver(t, 10, all...)
	expect(t, "b without the layer", b, ask)
	expect(t, "c without the layer", c)
}

// What goes to all is limited for each port.
func TestStormControl(t *testing.T) {
	cfg := Defaults()
	cfg.FloodRate = 1000
	a, b := newMachine(t, 1, cfg), newMachine(t, 2, cfg)
	pa, pb := join(t, a, b, flowMTU)
	b.say(frame(everybody, host(2), 60, 0))
	deliver(t, 10, a, b)
	a.take()
	for range 10000 {
		a.say(frame(everybody, host(1), 60, 0))
	}
	n := int(pa.tx.frames.Load())
	if dropped := int(a.local.counts.flooding.Load()); n < 500 || n > 9000 || n+dropped != 10000 {
		t.Errorf("%d frames passed, %d did not", n, dropped)
	}
	a.say(frame(host(2), host(1), 60, 0)) // not concerned
	deliver(t, n+10, a, b)
	if got := b.take(); len(got) == 0 || got[len(got)-1][0] != 2 {
		t.Error("a frame to one station did not pass")
	}
	_ = pb
}

// Whatever a peer sends, nothing breaks, and frames of others pass.
func TestHostileFrames(t *testing.T) {
	cfg := Defaults()
	cfg.MaxMACs = 64
	hub, good := newMachine(t, 1, cfg), newMachine(t, 2, cfg)
	join(t, good, hub, flowMTU)
	bad, _ := attach(t, hub, accepted, flowMTU)
	rng := rand.New(rand.NewPCG(1, 2))
	send := func(raw []byte) {
		b := packet.Get(len(raw))
		b.Append(raw)
		bad.Packets([]*packet.Buffer{b})
	}
	own := [6]byte{0xee, 5: 1} // of the hub's interface
	for i := range 20000 {
		var raw []byte
		switch i % 8 {
		case 0: // noise
			raw = make([]byte, rng.IntN(100))
			for j := range raw {
				raw[j] = byte(rng.Uint32())
			}
		case 1: // a header and noise
			raw = make([]byte, headerLen+rng.IntN(60))
			for j := range raw {
				raw[j] = byte(rng.Uint32())
			}
			raw[0], raw[1] = magic, typeFrame<<4
		case 2: // addresses that do not exist
			raw = slices.Clone(pack(frame(everybody, host(1000+i), 60, 0), header{id: 77, seq: uint32(i)}).Bytes())
		case 3: // the hub's own
			raw = slices.Clone(pack(frame(everybody, own, 60, 0), header{id: 77, seq: uint32(i)}).Bytes())
		case 4: // no source
			raw = slices.Clone(pack(frame(everybody, [6]byte{}, 60, 0), header{id: 77, seq: uint32(i)}).Bytes())
		case 5: // too long
			raw = slices.Clone(pack(frame(everybody, host(9), 1600, 0), header{id: 77, seq: uint32(i)}).Bytes())
		case 6: // claims to come from the hub
			raw = slices.Clone(pack(frame(everybody, host(9), 60, 0), header{id: hub.id, seq: uint32(i)}).Bytes())
		case 7: // half of a frame
			h := header{typ: typeFrame, count: 2, id: 77, seq: uint32(i), total: 1514}
			raw = make([]byte, fragmentLen+757)
			h.put(raw)
		}
		send(raw)
	}
	if n := bad.macs.Load(); n > 16 {
		t.Errorf("%d stations learnt", n)
	}
	if hub.table.lookup(station(hub.mac.Load()<<vlanBits)) != nil {
		t.Error("its own address was learnt")
	}
	c := &bad.counts
	if c.malformed.Load() < 7000 || c.repeated.Load() != 2500 || c.filtered.Load() < 2500 || c.incomplete.Load() < 2400 {
		t.Errorf("malformed %d, repeated %d, filtered %d, incomplete %d", c.malformed.Load(), c.repeated.Load(), c.filtered.Load(), c.incomplete.Load())
	}
	deliver(t, 30000, good)
	for _, p := range hub.ports {
		packet.ReleaseBatch(p.flow.(*fakeFlow).take())
	}
	hub.take()
	good.take()
	f := frame(own, host(2), 1514, 5)
	good.say(f)
	deliver(t, 10, good, hub)
	expect(t, "a good peer", hub, f)
}

func TestLimitOfPeers(t *testing.T) {
	cfg := Defaults()
	cfg.MaxPeers = 2
	m := newMachine(t, 1, cfg)
	for range 2 {
		attach(t, m, accepted, flowMTU)
		attach(t, m, connected, flowMTU)
	}
	if m.add(newPort(m.Segment, accepted, &fakeFlow{mtu: flowMTU}, "")) {
		t.Error("a third peer was accepted")
	}
}

func TestUpdate(t *testing.T) {
	m := newMachine(t, 1, Defaults())
	cfg := Defaults()
	cfg.Device, cfg.Layer, cfg.MaxMACs = "other", "bc", 7
	cfg.Relay, cfg.Age, cfg.FloodRate = false, time.Minute, 3
	if keys := m.Update(cfg); !slices.Equal(keys, []string{"device", "layer", "max_macs"}) {
		t.Errorf("restart for %v", keys)
	}
	if c := m.Config(); c.Device != Defaults().Device || c.Layer != "" || c.Relay || c.Age != time.Minute || m.view.Load().rate != 3 {
		t.Errorf("%+v", c)
	}
}

// ways are the frames of the benchmarks: from the interface to a flow, from a
// flow to the interface, and from flow to flow.
func ways(t testing.TB) map[string]func(n int) {
	m := newMachine(t, 1, Defaults())
	m.sink = func() sink { return dropper{} }
	m.local = newPort(m.Segment, local, nil, "")
	flow := func() *port {
		p := newPort(m.Segment, connected, &dropFlow{}, "")
		m.add(p)
		return p
	}
	p, q := flow(), flow()
	out := frame(host(2), host(1), 1514, 0)
	in := frame(host(1), host(2), 1514, 0)
	across := frame(host(3), host(2), 1514, 0)
	_, s2, _ := parseFrame(in)
	_, s3, _ := parseFrame(frame(host(2), host(3), 60, 0))
	m.table.learn(s2, p, 0)
	m.table.learn(s3, q, 0)
	m.local.lane.fromTAP([]*packet.Buffer{pack(out, header{})})
	batch := make([]*packet.Buffer, 64)
	seq := uint32(0)
	fill := func(f []byte, headers bool) {
		packet.GetBatch(batch, len(f))
		for _, b := range batch {
			b.Append(f)
			if headers {
				h := header{typ: typeFrame, count: 1, id: 99, seq: seq}
				seq++
				h.put(b.Prepend(headerLen))
			}
		}
	}
	rounds := func(n int, f func()) {
		for ; n > 0; n -= len(batch) {
			f()
		}
	}
	return map[string]func(n int){
		"out":    func(n int) { rounds(n, func() { fill(out, false); m.local.lane.fromTAP(batch) }) },
		"in":     func(n int) { rounds(n, func() { fill(in, true); p.Packets(batch) }) },
		"across": func(n int) { rounds(n, func() { fill(across, true); p.Packets(batch) }) },
	}
}

// dropper is an interface, dropFlow a flow that releases everything.
type dropper struct{}

func (dropper) write(frames []*packet.Buffer) int { packet.ReleaseBatch(frames); return 0 }

type dropFlow struct{ fakeFlow }

func (*dropFlow) WriteBatch(pkts []*packet.Buffer) error {
	for _, b := range pkts {
		b.Release()
	}
	return nil
}
func (*dropFlow) MTU() int { return 9000 }

func TestNoAllocation(t *testing.T) {
	for name, f := range ways(t) {
		f(1000)
		if n := testing.AllocsPerRun(20, func() { f(640) }); n > 0 {
			t.Errorf("%s: %.1f allocations for 640 frames", name, n)
		}
	}
}

func BenchmarkSwitch(b *testing.B) {
	for name, f := range ways(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(1514)
			f(b.N)
		})
	}
}
