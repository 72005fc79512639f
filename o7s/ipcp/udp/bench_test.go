// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"sync/atomic"
	"testing"
	"time"

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

func benchmark(b *testing.B, client, server *IPCP, ports chan layer.Port) {
	for _, c := range []struct {
		name     string
		gso, gro bool
	}{{"offload", true, true}, {"plain", false, false}} {
		b.Run(c.name, func(b *testing.B) {
			client.sock.gso.Store(c.gso)
			server.setGRO(b, map[bool]int{true: 1}[c.gro])
			a, z := connect(b, client, server, ports, qos.Raw)
			defer z.Close()
			defer a.Close()
			transfer(b, a, z, 1024)
		})
	}
}

func BenchmarkLoopback(b *testing.B) {
	u, ports := acceptor(layer.CapTeardown)
	benchmark(b, start(b, "127.0.0.1", noUpper, serves("127.0.0.2")), start(b, "127.0.0.2", u, nil), ports)
}

func BenchmarkVeth(b *testing.B) {
	w := newWire(b, 1500)
	u, ports := acceptor(layer.CapTeardown)
	server := w.start(b, 1, "10.7.0.2", u, nil)
	benchmark(b, w.start(b, 0, "10.7.0.1", noUpper, serves("10.7.0.2")), server, ports)
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
	u, ports := acceptor(layer.CapTeardown)
	server := w.start(b, 1, "10.7.0.2", u, nil)
	client := w.start(b, 0, "10.7.0.1", noUpper, serves("10.7.0.2"))
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

func BenchmarkAllocate(b *testing.B) {
	w := newWire(b, 1500)
	u, ports := acceptor(layer.CapTeardown)
	server := w.start(b, 1, "10.7.0.2", u, nil)
	client := w.start(b, 0, "10.7.0.1", noUpper, serves("10.7.0.2"))
	for b.Loop() {
		a, z := connect(b, client, server, ports, qos.Raw)
		a.Close()
		z.Close()
	}
}
