// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"io"
	"runtime"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/qos"
)

// BenchmarkIdleFlow measures the memory, heap and stacks, of one end of a reliable
// flow between two nodes that is idle after it has carried some bytes each way: at
// once, and when it has sent its first keepalive.
func BenchmarkIdleFlow(b *testing.B) {
	b.Run("100B", func(b *testing.B) { benchmarkIdleFlow(b, 100, 2000) })
	b.Run("4MB", func(b *testing.B) { benchmarkIdleFlow(b, 4<<20, 50) })
}

func benchmarkIdleFlow(b *testing.B, size, count int) {
	client, server := two(b)
	l, err := server.Stack().Listen(b.Context(), "svc")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	qs := qos.Data
	qs.Timeout = 4000 // ms: a keepalive every second
	memory := func() float64 {
		runtime.GC()
		runtime.GC() // what the pools keep
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	exchange := func(from, to *o7s.Flow) {
		go from.Write(make([]byte, size))
		if _, err := io.ReadFull(to, make([]byte, size)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		var flows []*o7s.Flow
		var before float64
		for i := range count + 1 {
			if i == 1 { // the pools are full
				before = memory()
			}
			accepted := make(chan *o7s.Flow, 1)
			go func() {
				g, _ := l.AcceptFlow(context.Background())
				accepted <- g
			}()
			f, err := client.Stack().Dial(b.Context(), "svc", o7s.WithQoS(qs))
			if err != nil {
				b.Fatal(err)
			}
			g := <-accepted
			exchange(f, g)
			exchange(g, f)
			flows = append(flows, f, g)
		}
		b.ReportMetric((memory()-before)/float64(2*count), "B/end")
		time.Sleep(2 * time.Second)
		b.ReportMetric((memory()-before)/float64(2*count), "B/idle-end")
		for _, f := range flows {
			f.SetLinger(0)
			f.Close()
		}
	}
}
