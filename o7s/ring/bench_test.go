// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// oneWay writes numbered packets to another process and waits until it has
// counted them.
func oneWay(b *testing.B, size int) {
	e, _ := start(b, "count")
	buf := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		binary.BigEndian.PutUint64(buf, uint64(i))
		if err := e.Write(buf, nil); err != nil {
			b.Fatal(err)
		}
	}
	finish(b, e)
}

func finish(b *testing.B, e *End) {
	buf := make([]byte, 8)
	if err := e.Write(buf[:1], nil); err != nil {
		b.Fatal(err)
	}
	if _, _, err := e.Read(buf, nil); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if n := binary.BigEndian.Uint64(buf); n != uint64(b.N) {
		b.Fatalf("%d of %d packets arrived", n, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpkt/s")
}

func BenchmarkOneWay64(b *testing.B)   { oneWay(b, 64) }
func BenchmarkOneWay1024(b *testing.B) { oneWay(b, 1024) }

func BenchmarkOneWayBatch64(b *testing.B) {
	e, _ := start(b, "countbatch")
	pkts := make([]*packet.Buffer, packet.BatchSize)
	packet.GetBatch(pkts, 64)
	b.SetBytes(64)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		k := min(len(pkts), b.N-i)
		for _, p := range pkts[:k] {
			p.SetLen(64)
			binary.BigEndian.PutUint64(p.Bytes(), uint64(i))
			i++
		}
		if _, err := e.WriteBatch(pkts[:k], nil); err != nil {
			b.Fatal(err)
		}
	}
	finish(b, e)
}

// pingPong measures round trips with another process, pausing before each.
func pingPong(b *testing.B, pause time.Duration) {
	e, _ := start(b, "echo")
	buf := make([]byte, 64)
	rtt := make([]time.Duration, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if pause > 0 {
			time.Sleep(pause)
		}
		begin := time.Now()
		if err := e.Write(buf, nil); err != nil {
			b.Fatal(err)
		}
		if _, _, err := e.Read(buf, nil); err != nil {
			b.Fatal(err)
		}
		rtt[i] = time.Since(begin)
	}
	b.StopTimer()
	slices.Sort(rtt)
	b.ReportMetric(float64(rtt[len(rtt)/2].Nanoseconds()), "ns-median")
	b.ReportMetric(float64(rtt[len(rtt)*9/10].Nanoseconds()), "ns-p90")
}

func BenchmarkPingPongSpinning(b *testing.B) { pingPong(b, 0) }
func BenchmarkPingPongAsleep(b *testing.B)   { pingPong(b, time.Millisecond) }

// BenchmarkPingPongMany has round trips on many flows at once, a goroutine
// each: what a server with a reader per flow sees.
func BenchmarkPingPongMany(b *testing.B) {
	ends := startMany(b)
	b.ReportAllocs()
	b.ResetTimer()
	var done sync.WaitGroup
	for _, e := range ends {
		done.Add(1)
		go func() {
			defer done.Done()
			buf := make([]byte, 64)
			for range b.N/len(ends) + 1 {
				if e.Write(buf, nil) != nil {
					return
				}
				if _, _, err := e.Read(buf, nil); err != nil {
					return
				}
			}
		}()
	}
	done.Wait()
}

// BenchmarkMemory reports what an open flow costs that has carried a packet
// each way: on the heap of each process, in shared pages, and in page tables.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	shm, pte := status(b, "RssShmem:"), status(b, "VmPTE:")
	var ends []*End
	buf := make([]byte, 64)
	for range b.N {
		x, y := pair(b, Config{})
		ends = append(ends, x, y)
		x.Write(buf, nil)
		y.Read(buf, nil)
		y.Write(buf, nil)
		x.Read(buf, nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N)/2, "heap-B/end")
	b.ReportMetric((status(b, "RssShmem:")-shm)/float64(b.N)/2, "shared-B/flow") // both ends map it here
	b.ReportMetric((status(b, "VmPTE:")-pte)/float64(b.N)/2, "pagetable-B/end")
	runtime.KeepAlive(ends)
}

// status returns a line of the process's status, in bytes.
func status(b *testing.B, key string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), key)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(n) * 1024
}
