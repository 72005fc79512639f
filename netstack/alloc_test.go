// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"o7gw/o7s/packet"
)

// sink is a device that takes everything.
type sink struct{ *fakeDevice }

func (sink) Write(pkts []*packet.Buffer) { packet.ReleaseBatch(pkts) }

// udpPath returns functions that carry a batch of datagrams of 200 bytes from
// the device to Config.UDP, and back.
func udpPath(t testing.TB) (in, out func()) {
	var taken [packet.BatchSize]Datagram
	s, d := fakeStack(t, Config{UDP: func(ds []Datagram) {
		for i := range ds {
			ds[i].Buf.Release()
		}
	}}, tcpip.NewStdClock())
	d.put() // its reader has what it needs
	s.out.w = sink{d}
	r := &reader{Stack: s, datagrams: make([]Datagram, 0, packet.BatchSize)}
	t.Cleanup(func() { packet.ReleaseBatch(r.small) })
	p := udpPacket(from4, to4, make([]byte, 200))
	b := packet.Get(65535)
	b.Append(p)
	in = func() {
		for range packet.BatchSize {
			r.packet(b)
		}
		r.push()
	}
	var bufs [packet.BatchSize]*packet.Buffer
	out = func() {
		packet.GetBatch(bufs[:], 200)
		for i, b := range bufs {
			b.SetLen(200)
			taken[i] = Datagram{Src: to4, Dst: from4, Buf: b}
		}
		s.SendUDP(taken[:])
	}
	return in, out
}

func TestNoAllocation(t *testing.T) {
	if RaceEnabled {
		t.Skip("the race detector allocates")
	}
	in, out := udpPath(t)
	for name, f := range map[string]func(){"from the device": in, "to the device": out} {
		f()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%v allocations per batch of datagrams %s", n, name)
		}
	}
}

// BenchmarkDatagrams is the cost of the stack itself per datagram.
func BenchmarkDatagrams(b *testing.B) {
	in, out := udpPath(b)
	for name, f := range map[string]func(){"receive": in, "send": out} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packet.BatchSize, "ns/packet")
		})
	}
}

// BenchmarkParse reads the headers of a packet.
func BenchmarkParse(b *testing.B) {
	p := udpPacket(netip.AddrPortFrom(client6, 1), netip.AddrPortFrom(served6, 2), make([]byte, 200))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := parseIP(p); !ok {
			b.Fatal("not parsed")
		}
	}
}
