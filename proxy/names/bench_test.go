// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// BenchmarkAnswer is one query without the socket.
func BenchmarkAnswer(b *testing.B) {
	s := serve(b, having("web"), nil)
	limit(s, func(l *limits) { l.rate, l.burst = 1e12, 1e12 })
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	m.SetEdns0(1232, false)
	query, _ := m.Pack()
	from := netip.MustParseAddrPort("192.0.2.1:5353")
	b.ReportAllocs()
	for b.Loop() {
		if s.Answer(b.Context(), query, from, false) == nil {
			b.Fatal("silence")
		}
	}
}

// BenchmarkUDP is queries over loopback, 64 under way, the client on the same
// two cores.
func BenchmarkUDP(b *testing.B) {
	s := serve(b, having("web"), nil)
	limit(s, func(l *limits) { l.rate, l.burst = 1e12, 1e12 })
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	m := new(dns.Msg)
	m.SetQuestion("web.o7s.", dns.TypeA)
	query, _ := m.Pack()
	const window = 64
	buf := make([]byte, 512)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N + window {
		if i < b.N {
			if _, err := c.Write(query); err != nil {
				b.Fatal(err)
			}
		}
		if i >= window {
			if _, err := c.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
}
