// SPDX-License-Identifier: BSD-3-Clause

package expose_test

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

// BenchmarkSessions begins and ends TCP sessions, 64 at a time: flow, request,
// connection to the local service, 5 bytes each way, end.
func BenchmarkSessions(b *testing.B) {
	client, server := proxytest.Pair(b, "svc")
	at, _ := echoTCP(b, "127.0.0.1:0", "")
	cfg := config("svc")
	cfg.TCP = map[uint16]string{80: at}
	start(b, cfg, server)
	d := proxy.Dialer{Stack: client}
	b.ReportAllocs()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := d.DialTCP(b.Context(), "svc", qos.Spec{}, session.Request{})
			if err != nil {
				b.Error(err)
				return
			}
			if err := echoes(c); err != nil {
				b.Error(err)
				return
			}
			if err := c.Close(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
}

// BenchmarkDatagrams sends datagrams of 200 bytes through one UDP session to a
// socket of the kernel, as fast as they arrive, at most 512 on the way.
func BenchmarkDatagrams(b *testing.B) {
	client, server := proxytest.Pair(b, "svc")
	sink, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	sink.SetReadBuffer(4 << 20)
	var arrived atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			if _, err := sink.Read(buf); err != nil {
				return
			}
			arrived.Add(1)
		}
	}()
	cfg := config("svc")
	cfg.UDP = map[uint16]string{7: sink.LocalAddr().String()}
	start(b, cfg, server)
	p, err := dialUDP(b, client, "svc", session.Request{})
	if err != nil {
		b.Fatal(err)
	}
	const batch, onTheWay = 32, 512
	var out [batch]proxy.Datagram
	payload := make([]byte, 200)
	var sent, lost int64
	b.ReportAllocs()
	b.ResetTimer()
	for sent < int64(b.N) {
		for begin := time.Now(); sent-lost-arrived.Load() > onTheWay; {
			if time.Since(begin) > 100*time.Millisecond {
				lost = sent - arrived.Load()
			}
			time.Sleep(20 * time.Microsecond)
		}
		for i := range out {
			buf := packet.Get(len(payload))
			buf.Append(payload)
			out[i] = proxy.Datagram{Buf: buf}
		}
		p.Send(out[:])
		sent += batch
	}
	for begin := time.Now(); sent-lost > arrived.Load() && time.Since(begin) < 100*time.Millisecond; {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(arrived.Load())/b.Elapsed().Seconds(), "datagrams/s")
	b.ReportMetric(float64(sent-arrived.Load()), "lost")
	sink.Close()
	<-done
}
