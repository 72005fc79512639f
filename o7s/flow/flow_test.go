// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kinds of lower ends.
var kinds = []string{"ring", "port"}

// attachments returns both ends of a flow.
func attachments(t testing.TB, kind string, qs qos.Spec) (a, b *Attachment) {
	t.Helper()
	a = &Attachment{ID: 1, Name: "test", QoS: qs}
	b = &Attachment{ID: 2, Name: "test", QoS: qs}
	if kind == "port" {
		a.Port, b.Port = layer.Pipe()
		return a, b
	}
	fa, fb, err := ring.New(ring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		a *Attachment
		f ring.Files
	}{{a, fa}, {b, fb}} {
		if x.a.Ring, err = ring.Open(x.f); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

// pair returns both ends of a flow, each with a Host.
func pair(t testing.TB, kind string, qs qos.Spec) (a, b *Flow) {
	t.Helper()
	aa, ab := attachments(t, kind, qs)
	var err error
	ha, hb := NewHost(), NewHost()
	if a, err = New(aa, ha); err != nil {
		t.Fatal(err)
	}
	if b, err = New(ab, hb); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close(); ha.Close(); hb.Close() })
	return a, b
}

// onEach runs a test on both kinds of lower ends.
func onEach(t *testing.T, f func(t *testing.T, a, b *Flow)) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			a, b := pair(t, kind, qos.Raw)
			f(t, a, b)
		})
	}
}

func buffer(p []byte) *packet.Buffer {
	b := packet.Get(len(p))
	b.Append(p)
	return b
}

func TestPacketsAndKeepalives(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		want := []string{"one", "", "two", "", "", "three"}
		for _, s := range want {
			if err := a.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 10)
		for _, s := range []string{"one", "two", "three"} {
			if n, truncated, err := b.ReadPacket(buf); string(buf[:n]) != s || truncated || err != nil {
				t.Fatalf("%q %v %v, want %q", buf[:n], truncated, err, s)
			}
		}
		b.SetNonblock(true, true)
		if _, _, err := b.ReadPacket(buf); !errors.Is(err, syscall.EAGAIN) {
			t.Fatalf("nothing left: %v", err)
		}
		if s := a.Stats(); s.SentPackets != 6 || s.SentBytes != 11 {
			t.Errorf("sent: %+v", s)
		}
		if s := b.Stats(); s.ReceivedPackets != 6 || s.ReceivedBytes != 11 {
			t.Errorf("received: %+v", s)
		}
	})
}

func TestBatchLeavesOutKeepalives(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		if err := a.WriteBatch([]*packet.Buffer{buffer(nil), buffer([]byte("x")), buffer(nil), buffer([]byte("y"))}); err != nil {
			t.Fatal(err)
		}
		bufs := make([]*packet.Buffer, 8)
		n, err := b.ReadBatch(bufs)
		if n != 2 || err != nil || string(bufs[0].Bytes()) != "x" || string(bufs[1].Bytes()) != "y" || bufs[2] != nil {
			t.Fatalf("%d %v", n, err)
		}
		packet.ReleaseBatch(bufs[:n])
	})
}

func TestReadTakesRemainders(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		a.Write([]byte("abcdefg"))
		a.Write([]byte("hi"))
		a.Write([]byte("jklmn"))
		p := make([]byte, 3)
		for _, want := range []string{"abc", "def", "g", "hi", "jkl"} {
			if n, err := b.Read(p); string(p[:n]) != want || err != nil {
				t.Fatalf("%q %v, want %q", p[:n], err, want)
			}
		}
		if n, truncated, err := b.ReadPacket(p); string(p[:n]) != "mn" || truncated || err != nil {
			t.Fatalf("rest as a packet: %q %v %v", p[:n], truncated, err)
		}
		b.SetNoPartial(true)
		a.Write([]byte("abcdefg"))
		a.Write([]byte("xyz"))
		if _, err := b.Read(p); !errors.Is(err, syscall.EMSGSIZE) {
			t.Fatalf("too long for the buffer: %v", err)
		}
		if n, err := b.Read(p); string(p[:n]) != "xyz" || err != nil {
			t.Fatalf("%q %v", p[:n], err)
		}
	})
}

func TestLimits(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		a.att.MTU = 100
		if err := a.Write(make([]byte, 101)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("above the MTU: %v", err)
		}
		long := make([]byte, 101)
		if err := a.WriteBatch([]*packet.Buffer{buffer(long), buffer([]byte("fits")), buffer(long)}); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("batch: %v", err)
		}
		if s := a.Stats(); s.Dropped != 2 || s.SentPackets != 1 {
			t.Errorf("%+v", s)
		}
		a.SetReadOnly(true)
		if err := a.Write([]byte("x")); !errors.Is(err, syscall.EPERM) {
			t.Errorf("read-only: %v", err)
		}
		if err := a.WriteBatch([]*packet.Buffer{buffer(long)}); !errors.Is(err, syscall.EPERM) {
			t.Errorf("read-only batch: %v", err)
		}
	})
}

func TestEndOfFlow(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		got := make(chan error)
		buf := make([]byte, 10)
		go func() { // blocked when the end comes
			_, err := a.Read(make([]byte, 1))
			got <- err
		}()
		a.Write([]byte("last words"))
		b.SetDeadlineForTest()
		if n, err := b.Read(buf); string(buf[:n]) != "last words" || err != nil {
			t.Fatalf("%q %v", buf[:n], err)
		}
		b.Write(nil)
		b.Close()
		if err := <-got; err != io.EOF {
			t.Errorf("blocked reader: %v", err)
		}
		if _, _, err := a.ReadPacket(buf); err != io.EOF {
			t.Errorf("next read: %v", err)
		}
		if err := a.Write(buf); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write: %v", err)
		}
		if _, err := b.Read(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if err := b.Write(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
	})
}

// SetDeadlineForTest keeps a broken test from hanging.
func (f *Flow) SetDeadlineForTest() { f.SetReadDeadline(time.Now().Add(10 * time.Second)) }

func TestDeallocOnceAfterClose(t *testing.T) {
	for _, kind := range kinds {
		a, b := attachments(t, kind, qos.Raw)
		h := NewHost()
		calls := 0
		a.Dealloc = func() error {
			calls++
			if a.Ring != nil && a.Ring.Write(nil, nil) == nil {
				t.Error("ring is still open")
			}
			return nil
		}
		f, err := New(a, h)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		f.Close()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
		b.close()
		h.Close()
	}
}

func TestUnsupportedQoS(t *testing.T) {
	qs := qos.Data
	qs.BER = 0
	a, b := attachments(t, "ring", qs) // of a prototype
	told := false
	a.Dealloc = func() error { told = true; return nil }
	if _, err := New(a, NewHost()); !errors.Is(err, layer.ErrNotSupported) || !told {
		t.Errorf("%v, dealloc %v", err, told)
	}
	b.close()
}

func TestDeadlinesAndContexts(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		buf := make([]byte, 10)
		b.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Millisecond, func() { b.SetReadDeadline(time.Unix(1, 0)) })
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline of a blocked reader: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Millisecond, cancel)
		if _, _, err := b.ReadPacketContext(ctx, buf); !errors.Is(err, context.Canceled) {
			t.Errorf("context: %v", err)
		}
		if err := a.WriteContext(context.Background(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, _, err := b.ReadPacketContext(context.Background(), buf); n != 1 || err != nil {
			t.Errorf("%d %v", n, err)
		}
		a.SetWriteDeadline(time.Unix(1, 0))
		if err := a.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write deadline: %v", err)
		}
	})
}

func TestFullRingBlocksAndNonblocks(t *testing.T) {
	a, b := pair(t, "ring", qos.Raw)
	a.SetNonblock(false, true)
	sent := 0
	var err error
	for ; err == nil; sent++ {
		err = a.Write(make([]byte, 10000))
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	if err := a.WriteBatch([]*packet.Buffer{buffer(make([]byte, 10000))}); !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	a.SetNonblock(false, false)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	if err := a.WriteContext(ctx, make([]byte, 10000)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- a.Write([]byte("at last")) }()
	buf := make([]byte, 10000)
	for range sent - 1 {
		if n, err := b.Read(buf); n != 10000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if n, err := b.Read(buf); string(buf[:n]) != "at last" || err != nil {
		t.Fatal(n, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestPortQueueIsBounded(t *testing.T) {
	a, b := pair(t, "port", qos.Raw)
	for range maxQueuedPackets + 10 {
		if err := a.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if s := b.Stats(); s.Dropped != 10 || s.QueuedIn != maxQueuedPackets {
		t.Errorf("%+v", s)
	}
	big := make([]byte, 60000)
	for range 200 {
		b.ReadPacket(big)
		a.Write(big)
	}
	if s := b.Stats(); s.QueuedIn > maxQueuedBytes {
		t.Errorf("%+v", s)
	}
}

func TestDownAndUp(t *testing.T) {
	a, b := pair(t, "ring", qos.Raw)
	a.Write([]byte("before"))
	a.SetDown(true)
	buf := make([]byte, 10)
	if n, err := b.Read(buf); n != 6 || err != nil {
		t.Fatalf("queued before: %d %v", n, err)
	}
	for _, f := range []*Flow{a, b} {
		if _, err := f.Read(buf); !errors.Is(err, layer.ErrFlowDown) {
			t.Errorf("read: %v", err)
		}
		if err := f.Write(buf); !errors.Is(err, layer.ErrFlowDown) {
			t.Errorf("write: %v", err)
		}
		if !f.Down() {
			t.Error("not marked")
		}
	}
	a.SetDown(false)
	if err := b.Write(buf); err != nil {
		t.Error(err)
	}
	if n, err := a.Read(buf); n != 10 || err != nil {
		t.Errorf("after up: %d %v", n, err)
	}
}

// Concurrent writers and a reader: everything arrives once. (On a port,
// layers may drop.)
func TestConcurrentWriters(t *testing.T) {
	a, b := pair(t, "ring", qos.Raw)
	const writers, each = 4, 500
	var done sync.WaitGroup
	for w := range writers {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := range each {
				if err := a.Write([]byte{byte(w), byte(i), byte(i >> 8)}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var next [writers]int
	buf := make([]byte, 10)
	for range writers * each {
		n, err := b.Read(buf)
		if n != 3 || err != nil {
			t.Fatal(n, err)
		}
		if i := int(buf[1]) | int(buf[2])<<8; i != next[buf[0]] {
			t.Fatalf("writer %d: packet %d, want %d", buf[0], i, next[buf[0]])
		}
		next[buf[0]]++
	}
	done.Wait()
	if b.Unread() {
		t.Error("something is left")
	}
}
