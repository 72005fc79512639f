// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// counter is a receiver that only counts.
type counter struct {
	packets atomic.Int64
}

func (c *counter) Packets(pkts []*packet.Buffer) {
	c.packets.Add(int64(len(pkts)))
	packet.ReleaseBatch(pkts)
}

func (c *counter) Event(layer.Event) {}

// transfer sends b.N packets of size bytes in batches, with at most a few
// batches on the way, as a ring or a TUN device in front would.
func transfer(b *testing.B, a, z layer.Port, size int) {
	const window = 8 * packet.BatchSize
	var got counter
	z.Receive(&got)
	var batch [packet.BatchSize]*packet.Buffer
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	sent, lost := int64(0), int64(0)
	for sent < int64(b.N) {
		n := min(int64(len(batch)), int64(b.N)-sent)
		packet.GetBatch(batch[:n], size)
		for _, p := range batch[:n] {
			p.SetLen(size)
		}
		a.Send(batch[:n])
		sent += n
		for began := time.Now(); sent-lost-got.packets.Load() > window; time.Sleep(5 * time.Microsecond) {
			if time.Since(began) > 100*time.Millisecond {
				lost = sent - got.packets.Load()
			}
		}
	}
	for began := time.Now(); sent-lost > got.packets.Load(); time.Sleep(5 * time.Microsecond) {
		if time.Since(began) > 100*time.Millisecond {
			lost = sent - got.packets.Load()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(got.packets.Load())/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(sent-got.packets.Load()), "lost")
}

func BenchmarkVeth(b *testing.B) {
	for _, c := range []struct {
		name      string
		typ       ipcp.Type
		mtu, size int
	}{{"dix", ipcp.EthDIX, 1500, 1024}, {"llc", ipcp.EthLLC, 1500, 1024}, {"jumbo", ipcp.EthDIX, 9000, 8996}, {"jumbo-small", ipcp.EthDIX, 9000, 1024}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWire(b, c.mtu)
			client, server, ports := w.pair(b, c.typ, layer.CapTeardown)
			a, z := connect(b, client, server, ports, qos.Raw)
			transfer(b, a, z, c.size)
		})
	}
}

// echo sends back what comes.
type echo struct{ layer.Port }

func (e echo) Packets(pkts []*packet.Buffer) { e.Send(pkts) }
func (echo) Event(layer.Event)               {}

// ticket signals each packet.
type ticket chan struct{}

func (t ticket) Packets(pkts []*packet.Buffer) {
	packet.ReleaseBatch(pkts)
	t <- struct{}{}
}
func (ticket) Event(layer.Event) {}

// BenchmarkVethPing is the round trip of one small packet, with a wake-up in
// each IPC process and one of the waiting goroutine.
func BenchmarkVethPing(b *testing.B) {
	w := newWire(b, 1500)
	client, server, ports := w.pair(b, ipcp.EthDIX, layer.CapTeardown)
	a, z := connect(b, client, server, ports, qos.Raw)
	z.Receive(echo{z})
	back := make(ticket, 1)
	a.Receive(back)
	var one [1]*packet.Buffer
	b.ReportAllocs()
	for b.Loop() {
		one[0] = packet.Get(64)
		one[0].SetLen(64)
		a.Send(one[:])
		<-back
	}
}
