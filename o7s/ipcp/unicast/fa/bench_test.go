// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"testing"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// hole is a network that swallows everything.
type hole struct{}

func (hole) Send(dst, eid uint64, pkts []*packet.Buffer) error {
	packet.ReleaseBatch(pkts)
	return nil
}
func (hole) MTU() int              { return 1400 }
func (hole) Reachable(uint64) bool { return true }

// hot returns a flow of a member whose network swallows everything, in the
// state of one that has sent for a while.
func hot(tb testing.TB, policy ca.Policy) (*FA, *flow) {
	s := &server{caps: layer.CapTeardown}
	a := New(Config{Self: bob, Net: hole{}, CA: policy, HashLen: len(oping), Upper: s})
	tb.Cleanup(a.Close)
	a.Manage(buffers(string(request{source: alice, eid: 100, qos: qos.Raw, dst: oping}.append(nil))))
	f := s.accepted()[0].(*flow)
	f.Receive(receiver(func(pkts []*packet.Buffer) { packet.ReleaseBatch(pkts) }))
	return a, f
}

func fill(pkts []*packet.Buffer, size int) {
	packet.GetBatch(pkts, size)
	for _, b := range pkts {
		b.SetLen(size)
	}
}

func TestNoAllocation(t *testing.T) {
	a, f := hot(t, ca.MBECN)
	var pkts [packet.BatchSize]*packet.Buffer
	send := func() {
		fill(pkts[:], 1024)
		f.Send(pkts[:])
	}
	for range 1000 { // also through its queue
		send()
	}
	if n := testing.AllocsPerRun(100, send); n != 0 {
		t.Errorf("%v allocations per batch sent", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		fill(pkts[:], 1024)
		a.Deliver(f.eid, 0, pkts[:])
	}); n != 0 {
		t.Errorf("%v allocations per batch delivered", n)
	}
}

func benchmarkSend(b *testing.B, policy ca.Policy, batch int) {
	_, f := hot(b, policy)
	var pkts [packet.BatchSize]*packet.Buffer
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		fill(pkts[:batch], 1024)
		f.Send(pkts[:batch])
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/packet")
	b.ReportMetric(float64(f.dropped.full.Load())/float64(b.N*batch), "dropped/packet")
}

func BenchmarkSend(b *testing.B) {
	b.Run("batch", func(b *testing.B) { benchmarkSend(b, ca.MBECN, packet.BatchSize) })
	b.Run("single", func(b *testing.B) { benchmarkSend(b, ca.MBECN, 1) })
	b.Run("batch-no-ca", func(b *testing.B) { benchmarkSend(b, ca.None, packet.BatchSize) })
}

func BenchmarkDeliver(b *testing.B) {
	for _, c := range []struct {
		name  string
		ecn   uint8
		batch int
	}{{"batch", 0, packet.BatchSize}, {"single", 0, 1}, {"batch-marked", 3, packet.BatchSize}} {
		b.Run(c.name, func(b *testing.B) {
			a, f := hot(b, ca.MBECN)
			var pkts [packet.BatchSize]*packet.Buffer
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				fill(pkts[:c.batch], 1024)
				a.Deliver(f.eid, c.ecn, pkts[:c.batch])
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.batch), "ns/packet")
		})
	}
}
