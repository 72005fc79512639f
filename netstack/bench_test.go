// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"o7gw/netstack"
	"o7gw/o7s/packet"
)

// BenchmarkUpload and BenchmarkDownload: with packets of 64 KiB, as local
// clients send, and small ones, as those of a network behind this host.
func BenchmarkUpload(b *testing.B) { throughputs(b, true) }

func BenchmarkDownload(b *testing.B) { throughputs(b, false) }

func throughputs(b *testing.B, up bool) {
	for name, mtu := range map[string]int{"MTU 65520": 65520, "MTU 1500": 1500} {
		b.Run(name, func(b *testing.B) { throughput(b, up, mtu) })
	}
}

// throughput moves a GiB from or to a kernel client.
func throughput(b *testing.B, up bool, mtu int) {
	const size = 1 << 30
	begin(b, netstack.Config{MTU: mtu, TCP: func(r *netstack.TCPRequest) {
		c, err := r.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var bufs [64]*packet.Buffer
		if up {
			for total := 0; total < size; {
				n, err := c.ReadBatch(bufs[:], 1400)
				if err != nil {
					return
				}
				for _, p := range bufs[:n] {
					total += p.Len()
				}
				packet.ReleaseBatch(bufs[:n])
			}
			return
		}
		for total := 0; total < size; {
			packet.GetBatch(bufs[:], 1400)
			for _, p := range bufs {
				p.SetLen(1400)
				total += 1400
			}
			if c.WriteBatch(bufs[:]) != nil {
				return
			}
		}
	}})
	buf := make([]byte, 1<<18)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", at(served4, 80))
		if err != nil {
			b.Fatal(err)
		}
		if up {
			for n := 0; n < size; n += len(buf) {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		}
		for {
			if _, err := c.Read(buf); err != nil {
				break
			}
		}
		c.Close()
	}
}

// asClient makes the test binary a client, of the given kind and number of
// exchanges, that waits in system calls only: what is measured are the wake-ups
// of the stack, not those of a runtime that both share.
const asClient = "O7GW_TEST_CLIENT"

func client(what string) {
	kind, count, _ := strings.Cut(what, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		panic(err)
	}
	fd := dial()
	for range n {
		if kind == "connections" {
			syscall.Close(fd)
			fd = dial()
		}
		var p [1]byte
		syscall.Write(fd, p[:])
		if k, err := syscall.Read(fd, p[:]); k != 1 {
			panic(err)
		}
	}
}

func dial() int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: 80, Addr: served4.As4()})
	}
	if err != nil {
		panic(err)
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	return fd
}

// exchanges runs a client process.
func exchanges(b *testing.B, kind string) {
	begin(b, netstack.Config{TCP: echoTCP})
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asClient+"="+kind+" "+strconv.Itoa(b.N))
	cmd.Stderr = os.Stderr
	b.ReportAllocs()
	b.ResetTimer()
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRequestResponse: a byte each way on one connection.
func BenchmarkRequestResponse(b *testing.B) { exchanges(b, "requests") }

// BenchmarkConnections: connect, a byte each way, close.
func BenchmarkConnections(b *testing.B) { exchanges(b, "connections") }

// BenchmarkUDPReceive: datagrams of 200 bytes of a kernel client, one system
// call each on its side.
func BenchmarkUDPReceive(b *testing.B) {
	var got atomic.Int64
	begin(b, netstack.Config{UDP: func(d []netstack.Datagram) {
		got.Add(int64(len(d)))
		for i := range d {
			d[i].Buf.Release()
		}
	}})
	c, err := net.Dial("udp", at(served4, 7))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var p [200]byte
	b.ReportAllocs()
	for b.Loop() {
		c.Write(p[:])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(100*(1-float64(got.Load())/float64(b.N)), "%lost")
}

// BenchmarkUDPSend: datagrams of 200 bytes to a kernel client.
func BenchmarkUDPSend(b *testing.B) {
	w := begin(b, netstack.Config{})
	c, err := net.ListenPacket("udp", "10.9.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	src, dst := netip.AddrPortFrom(served4, 7), c.LocalAddr().(*net.UDPAddr).AddrPort()
	var batch [64]netstack.Datagram
	var bufs [64]*packet.Buffer
	b.ReportAllocs()
	for b.Loop() {
		packet.GetBatch(bufs[:], 200)
		for i := range batch {
			bufs[i].SetLen(200)
			batch[i] = netstack.Datagram{Src: src, Dst: dst, Buf: bufs[i]}
		}
		w.SendUDP(batch[:])
	}
	b.ReportMetric(float64(b.N)*float64(len(batch))/b.Elapsed().Seconds(), "packets/s")
}
