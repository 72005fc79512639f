// SPDX-License-Identifier: BSD-3-Clause

package forward_test

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/packet"
	"o7gw/proxy"
	"o7gw/proxy/forward"
	"o7gw/proxy/listen/listentest"
	"o7gw/proxy/udpsock"
)

// BenchmarkConns: connections through a forward and an expose, one byte there
// and back, then closed; eight clients at a time.
func BenchmarkConns(b *testing.B) {
	w := listentest.New(b, nil)
	f := start(b, w, forward.Config{TCP: anyPort, Service: listentest.Service, Port: 7})
	to := tcpAt(f)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var one [1]byte
			for left.Add(-1) >= 0 {
				c, err := net.Dial("tcp", to)
				if err != nil {
					b.Error(err)
					return
				}
				c.Write(one[:])
				if _, err := io.ReadFull(c, one[:]); err != nil {
					b.Error(err)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conns/s")
}

// BenchmarkUDP: datagrams of 200 bytes through a forward and an expose to a
// socket that counts them, at most a window on the way.
func BenchmarkUDP(b *testing.B) {
	w := listentest.New(b, nil)
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	sink.SetReadBuffer(8 << 20)
	at := sink.LocalAddr().(*net.UDPAddr).AddrPort()
	f := start(b, w, forward.Config{UDP: anyPort, Service: listentest.Exit, Host: at.Addr().String(), Port: at.Port()})
	in, err := udpsock.New(sink, false)
	if err != nil {
		b.Fatal(err)
	}
	var got atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			d, err := in.Read()
			if err != nil {
				return
			}
			got.Add(int64(len(d)))
			for i := range d {
				d[i].Buf.Release()
			}
		}
	}()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(udpAt(f))))
	if err != nil {
		b.Fatal(err)
	}
	out, err := udpsock.New(c, true)
	if err != nil {
		b.Fatal(err)
	}
	const burst, window = 32, 1024
	var d [burst]proxy.Datagram
	send := func() {
		for i := range d {
			d[i].Buf = packet.Get(200)
			d[i].Buf.SetLen(200)
		}
		out.Write(d[:])
	}
	send()
	for got.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	got.Store(0)
	b.ReportAllocs()
	b.ResetTimer()
	sent := int64(0)
	stuck := time.Now()
	for last := int64(0); sent < int64(b.N); {
		now := got.Load()
		if now != last {
			last, stuck = now, time.Now()
		}
		if sent-now >= window && time.Since(stuck) < 100*time.Millisecond {
			time.Sleep(20 * time.Microsecond)
			continue
		}
		send()
		sent += burst
	}
	for wait := time.Now(); got.Load() < sent && time.Since(wait) < 200*time.Millisecond; {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(got.Load())/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(100*float64(sent-got.Load())/float64(sent), "%lost")
	out.Close()
	sink.Close()
	<-done
}
