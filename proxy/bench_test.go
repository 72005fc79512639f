// SPDX-License-Identifier: BSD-3-Clause

package proxy_test

import (
	"io"
	"net"
	"testing"

	"o7gw/o7s/qos"
	"o7gw/proxy/proxytest"
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
