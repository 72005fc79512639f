// SPDX-License-Identifier: BSD-3-Clause

package packet

import (
	"bytes"
	"testing"
)

func TestHeadersInPlace(t *testing.T) {
	b := Get(5)
	b.Append([]byte("hello"))
	copy(b.Prepend(3), "abc")
	b.Append([]byte("xyz"))
	if got := string(b.Bytes()); got != "abchelloxyz" {
		t.Fatalf("packet = %q", got)
	}
	if !b.TrimFront(3) || !b.TrimBack(3) || string(b.Bytes()) != "hello" {
		t.Fatalf("after trims: %q", b.Bytes())
	}
	if b.TrimFront(6) || b.TrimBack(6) || b.TrimFront(-1) || b.TrimBack(-1) {
		t.Fatal("trim beyond the packet succeeded")
	}
	b.Release()
}

func TestPrependBeyondHeadroom(t *testing.T) {
	b := Get(10)
	b.Append([]byte("payload"))
	for i := range 3 {
		h := b.Prepend(100)
		for j := range h {
			h[j] = byte('0' + i)
		}
	}
	want := append(bytes.Repeat([]byte("2"), 100), bytes.Repeat([]byte("1"), 100)...)
	want = append(append(want, bytes.Repeat([]byte("0"), 100)...), "payload"...)
	if !bytes.Equal(b.Bytes(), want) {
		t.Fatalf("packet = %q", b.Bytes())
	}
	b.Append(bytes.Repeat([]byte("t"), 4096))
	if b.Len() != len(want)+4096 || !bytes.HasPrefix(b.Bytes(), want) {
		t.Fatal("extension beyond the tailroom lost bytes")
	}
	b.Release()
}

func TestGetGivesRoom(t *testing.T) {
	for _, n := range []int{0, 1, 1500, 1792, 1793, 9000, 9217, MaxPayload} {
		b := Get(n)
		if b.Len() != 0 || b.Headroom() < Headroom || b.Tailroom() < n+Tailroom {
			t.Fatalf("Get(%d): len %d headroom %d tailroom %d", n, b.Len(), b.Headroom(), b.Tailroom())
		}
		b.Release()
	}
}

func TestDoubleReleasePanics(t *testing.T) {
	b := Get(1)
	b.Release()
	defer func() {
		if recover() == nil {
			t.Fatal("second release went unnoticed")
		}
	}()
	b.Release()
}

func TestNoAllocation(t *testing.T) {
	var batch [BatchSize]*Buffer
	GetBatch(batch[:], 1500)
	ReleaseBatch(batch[:])
	if n := testing.AllocsPerRun(100, func() {
		GetBatch(batch[:], 1500)
		for _, b := range batch {
			b.SetLen(1000)
			b.Prepend(4)
		}
		ReleaseBatch(batch[:])
	}); n != 0 {
		t.Fatalf("%v allocations per batch", n)
	}
}

func BenchmarkBatch(b *testing.B) {
	b.ReportAllocs()
	var batch [BatchSize]*Buffer
	for range b.N {
		GetBatch(batch[:], 1500)
		ReleaseBatch(batch[:])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/BatchSize, "ns/packet")
}
