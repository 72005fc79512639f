// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"testing"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/ipcp/unicast/pff"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// hole is a port and flows that release what they are given.
type hole struct{ receiver layer.Receiver }

func (h *hole) Send(pkts []*packet.Buffer)                    { packet.ReleaseBatch(pkts) }
func (h *hole) Receive(r layer.Receiver)                      { h.receiver = r }
func (h *hole) MTU() int                                      { return 1500 }
func (h *hole) Close() error                                  { return nil }
func (h *hole) Queued() int                                   { return 100 }
func (h *hole) Deliver(_ uint64, _ uint8, p []*packet.Buffer) { packet.ReleaseBatch(p) }

const batchLen = 64

// traffic makes batches of packets for a DT with 1000 destinations behind 4
// neighbours, and for itself.
type traffic struct {
	d     *DT
	in    *hole
	batch [batchLen]*packet.Buffer
}

func newTraffic() *traffic {
	w := &traffic{d: New(Config{Self: self, AddrSize: 4, MaxTTL: 60, Mark: ca.MBECN}), in: &hole{}}
	w.d.Component(0, packet.ReleaseBatch)
	w.d.SetFlows(w.in)
	n := []*Neighbour{w.d.Add(1, w.in, qos.Raw, nil)}
	for range 3 {
		n = append(n, w.d.Add(1, &hole{}, qos.Raw, nil))
	}
	var routes []pff.Route[*Neighbour]
	for i := range 1000 {
		routes = append(routes, pff.Route[*Neighbour]{Dst: uint64(1000 + i), Hops: []*Neighbour{n[i%4]}})
	}
	w.d.Table().Set(routes)
	return w
}

// fill makes the next batch: the i-th packet gets the header of(i).
func (w *traffic) fill(of func(i int) Header) {
	packet.GetBatch(w.batch[:], 1400)
	for i, b := range w.batch {
		b.SetLen(1400)
		Format(4).Put(b.Bytes(), of(i))
	}
}

func (w *traffic) own() {
	packet.GetBatch(w.batch[:], 1400)
	for _, b := range w.batch {
		b.SetLen(1385)
	}
}

// What packets of a batch have in common.
var mixes = []struct {
	name string
	of   func(i int) Header
}{
	{"one flow", func(int) Header { return Header{Dst: 1500, TTL: 60, EID: user} }},
	{"64 flows, 4 next hops", func(i int) Header { return Header{Dst: uint64(1000 + 13*i), TTL: 60, EID: uint64(i)} }},
	{"deliver one flow", func(int) Header { return Header{Dst: self, TTL: 60, EID: user} }},
	{"deliver 64 flows", func(i int) Header { return Header{Dst: self, TTL: 60, EID: uint64(1000 + i)} }},
	{"hostile", func(i int) Header { return Header{Dst: uint64(i), TTL: uint8(i), Cube: uint8(i), EID: uint64(i % 2)} }},
}

// Nothing on the way of a packet allocates.
func TestNoAllocation(t *testing.T) {
	w := newTraffic()
	check := func(name string, f func()) {
		f()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations for a batch", name, n)
		}
	}
	for _, m := range mixes {
		check(m.name, func() {
			w.fill(m.of)
			w.in.receiver.Packets(w.batch[:])
		})
	}
	check("send", func() {
		w.own()
		if w.d.Send(1500, user, w.batch[:]) != nil {
			t.Error("no route")
		}
	})
	check("no route", func() {
		w.own()
		if w.d.Send(5000, user, w.batch[:]) == nil {
			t.Error("a route")
		}
	})
}

func perPacket(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchLen, "ns/packet")
}

// BenchmarkForward takes batches to where they belong, with getting and
// releasing the buffers and writing the headers of what comes in.
func BenchmarkForward(b *testing.B) {
	for _, m := range mixes[:4] {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			w := newTraffic()
			for range b.N {
				w.fill(m.of)
				w.in.receiver.Packets(w.batch[:])
			}
			perPacket(b)
		})
	}
}

// BenchmarkPath sends own packets through a port that is the neighbour's: header,
// port, and delivery there.
func BenchmarkPath(b *testing.B) {
	b.ReportAllocs()
	here, there := New(Config{Self: 1, AddrSize: 4, MaxTTL: 60, Mark: ca.MBECN}), New(Config{Self: 2, AddrSize: 4, MaxTTL: 60, Mark: ca.MBECN})
	end := &counter{}
	there.SetFlows(end)
	p, q := layer.Pipe()
	n := here.Add(2, p, qos.Raw, nil)
	there.Add(1, q, qos.Raw, nil)
	here.Table().Set([]pff.Route[*Neighbour]{{Dst: 2, Hops: []*Neighbour{n}}})
	w := &traffic{}
	for range b.N {
		w.own()
		if err := here.Send(2, user, w.batch[:]); err != nil {
			b.Fatal(err)
		}
	}
	perPacket(b)
	if end.n != b.N*batchLen {
		b.Errorf("%d packets arrived of %d", end.n, b.N*batchLen)
	}
}

type counter struct{ n int }

func (c *counter) Deliver(_ uint64, _ uint8, p []*packet.Buffer) {
	c.n += len(p)
	packet.ReleaseBatch(p)
}
