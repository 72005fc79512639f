// SPDX-License-Identifier: BSD-3-Clause

package proxy_test

import (
	"io"
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

// BenchmarkRelay carries one stream from a kernel socket through two gateways to
// another; all four are in this process.
func BenchmarkRelay(b *testing.B) {
	for _, n := range nets {
		b.Run(n.name, func(b *testing.B) {
			client, server := n.pair(b, "sink")
			benchmarkRelay(b, client, server)
		})
	}
}

func benchmarkRelay(b *testing.B, client, server proxytest.Stack) {
	const size = 1 << 28
	sink := tcpServer(b, func(c *net.TCPConn) {
		buf := make([]byte, 1<<18)
		for {
			if _, err := c.Read(buf); err != nil {
				break
			}
		}
		c.Write([]byte("k"))
	})
	serve(b, server, "sink", to(b, sink))
	in := entrance(b, client, "sink", qos.Spec{})
	buf := make([]byte, 1<<18)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		c := dialTCP(b, in)
		for n := 0; n < size; n += len(buf) {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
		c.CloseWrite()
		if _, err := io.ReadFull(c, buf[:1]); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkRequestResponse is the time for a byte there and back.
func BenchmarkRequestResponse(b *testing.B) {
	client, server := proxytest.Pair(b, "echo")
	echo := tcpServer(b, func(c *net.TCPConn) {
		var p [1]byte
		for {
			if _, err := c.Read(p[:]); err != nil {
				return
			}
			c.Write(p[:])
		}
	})
	serve(b, server, "echo", to(b, echo))
	for name, addr := range map[string]string{"direct": echo, "proxy": entrance(b, client, "echo", qos.Spec{})} {
		b.Run(name, func(b *testing.B) {
			c := dialTCP(b, addr)
			defer c.Close()
			var p [1]byte
			b.ReportAllocs()
			for b.Loop() {
				c.Write(p[:])
				if _, err := c.Read(p[:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSessions is the time for a session of a byte there and back.
func BenchmarkSessions(b *testing.B) {
	client, server := proxytest.Pair(b, "echo")
	echo := tcpServer(b, func(c *net.TCPConn) { io.Copy(c, c) })
	serve(b, server, "echo", to(b, echo))
	in := entrance(b, client, "echo", qos.Spec{})
	var p [1]byte
	for b.Loop() {
		c := dialTCP(b, in)
		c.Write(p[:])
		c.CloseWrite()
		if _, err := io.ReadFull(c, p[:]); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// usage is what the process holds.
func usage() (heap, stacks uint64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse, runtime.NumGoroutine()
}

// idleSessions opens n sessions through two gateways, has a byte go there and back
// on each, and returns what each costs while it is idle: of both gateways, and of
// the client and the server, which are in this process, too.
func idleSessions(t testing.TB, n int) (bytes, goroutines float64) {
	client, server := proxytest.Pair(t, "echo")
	echo := tcpServer(t, func(c *net.TCPConn) { io.Copy(c, c) })
	serve(t, server, "echo", to(t, echo))
	in := entrance(t, client, "echo", qos.Spec{})
	var p [1]byte
	open := func() net.Conn {
		c := dialTCP(t, in)
		c.Write(p[:])
		if _, err := io.ReadFull(c, p[:]); err != nil {
			t.Fatal(err)
		}
		return c
	}
	defer open().Close() // what is made once
	heap, stacks, count := usage()
	for range n {
		defer open().Close()
	}
	heap2, stacks2, count2 := usage()
	return (float64(heap2) - float64(heap) + float64(stacks2) - float64(stacks)) / float64(n), float64(count2-count) / float64(n)
}

// TestIdleSessions: an idle session holds no buffers, and two goroutines at each
// gateway. The two more are those of the test's server and of its entrance, which
// are the callers of Relay; the one of Accept is a caller, too.
func TestIdleSessions(t *testing.T) {
	bytes, goroutines := idleSessions(t, 1000)
	t.Logf("%.0f bytes, %.2f goroutines", bytes, goroutines)
	if goroutines > 5.01 {
		t.Errorf("%.2f goroutines per session: two at each gateway, and the server's, are 5", goroutines)
	}
	if bytes > 128<<10 {
		t.Errorf("%.0f bytes per session", bytes)
	}
}

// BenchmarkDatagrams sends datagrams of 200 bytes through a UDP session, in batches
// as they come of a busy socket; those that arrive count.
func BenchmarkDatagrams(b *testing.B) {
	for _, n := range nets {
		b.Run(n.name, func(b *testing.B) {
			client, server := n.pair(b, "sink")
			benchmarkDatagrams(b, client, server)
		})
	}
}

func benchmarkDatagrams(b *testing.B, client, server proxytest.Stack) {
	var got atomic.Int64
	serve(b, server, "sink", func(in *proxy.Incoming) {
		p, err := in.AcceptUDP()
		if err != nil {
			b.Error(err)
			return
		}
		p.Receive(func(d []proxy.Datagram) {
			for i := range d {
				d[i].Buf.Release()
			}
			got.Add(int64(len(d)))
		}, func(error) { p.Close() })
	})
	d := &proxy.Dialer{Stack: client}
	p, err := d.DialUDP(b.Context(), "sink", qos.Spec{}, session.Request{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	const size, most = 32, 2000 // per batch; on the way
	var batch [size]proxy.Datagram
	sent := 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			buf := packet.Get(200)
			buf.SetLen(200)
			batch[i] = proxy.Datagram{Buf: buf}
		}
		if err := p.Send(batch[:]); err != nil {
			b.Fatal(err)
		}
		sent += size
		for wait := time.Now(); int64(sent)-got.Load() > most && time.Since(wait) < time.Millisecond; {
			runtime.Gosched()
		}
	}
	b.ReportMetric(float64(got.Load())/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(100*float64(int64(sent)-got.Load())/float64(sent), "%lost")
}
