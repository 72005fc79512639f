// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"sync/atomic"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// wirePort is the port of a layer that counts what is sent.
type wirePort struct {
	r      layer.Receiver
	sent   atomic.Int64
	closed atomic.Bool
}

func (w *wirePort) Send(pkts []*packet.Buffer) {
	n := int64(len(pkts))
	packet.ReleaseBatch(pkts)
	w.sent.Add(n)
}
func (w *wirePort) Receive(r layer.Receiver) { w.r = r }
func (w *wirePort) MTU() int                 { return 1500 }
func (w *wirePort) Close() error             { w.closed.Store(true); return nil }

// bridged returns a bridge between a wirePort and the end of an application.
func bridged(t testing.TB) (*bridge, *wirePort, *ring.End) {
	t.Helper()
	p, err := ring.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs, err := ring.New(ring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	end, err := ring.Open(ours)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ring.Open(theirs)
	if err != nil {
		t.Fatal(err)
	}
	w := new(wirePort)
	b := newBridge(end, p, w, func() {})
	t.Cleanup(func() {
		b.close()
		app.Close()
		p.Close()
	})
	return b, w, app
}

// fill makes packets of n bytes.
func fill(batch []*packet.Buffer, n int) {
	packet.GetBatch(batch, n)
	for _, p := range batch {
		p.SetLen(n)
	}
}

// fromNetwork carries one batch from the layer to the application.
func fromNetwork(t testing.TB, w *wirePort, app *ring.End, batch []*packet.Buffer) {
	fill(batch, 1000)
	w.r.Packets(batch)
	for got := 0; got < len(batch); {
		n, err := app.ReadBatch(batch[got:], nil)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	packet.ReleaseBatch(batch)
}

// toNetwork carries one batch from the application to the layer, or waits
// until there is room in the ring for it.
func toNetwork(t testing.TB, w *wirePort, app *ring.End, batch []*packet.Buffer) {
	fill(batch, 1000)
	if n, err := app.WriteBatch(batch, nil); n != len(batch) || err != nil {
		t.Fatal(n, err)
	}
	packet.ReleaseBatch(batch)
}

func TestBridgeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	_, w, app := bridged(t)
	pool := make([]*packet.Buffer, 4096) // more than can be under way at once
	fill(pool, 1000)
	packet.ReleaseBatch(pool)
	batch := make([]*packet.Buffer, packet.BatchSize)
	for name, carry := range map[string]func(testing.TB, *wirePort, *ring.End, []*packet.Buffer){"down": fromNetwork, "up": toNetwork} {
		carry(t, w, app, batch)
		// Less than one in a batch: what there is comes from the runtime.
		if n := testing.AllocsPerRun(50, func() { carry(t, w, app, batch) }); n >= 1 {
			t.Errorf("%s: %v allocations per batch of %d", name, n, len(batch))
		}
	}
}

// TestBridgeNeverBlocks: an application that does not read loses packets, not
// the layer its time.
func TestBridgeNeverBlocks(t *testing.T) {
	b, w, _ := bridged(t)
	batch := make([]*packet.Buffer, packet.BatchSize)
	for range 100 {
		fill(batch, 1000)
		w.r.Packets(batch)
	}
	if d := b.app.(*ring.Port).Dropped(); d == 0 {
		t.Error("100 batches fit into one ring")
	}
}

func TestBridgeEnds(t *testing.T) {
	t.Run("by the layer", func(t *testing.T) {
		b, w, app := bridged(t)
		batch := make([]*packet.Buffer, 10)
		fill(batch, 10)
		w.r.Packets(batch)
		w.r.Event(layer.Closed)
		<-b.ended
		for range 10 {
			if _, _, err := app.Read(make([]byte, 100), nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := app.Read(make([]byte, 100), nil); err == nil {
			t.Error("no end")
		}
	})
	// More than the bridge takes at once, and the close right behind.
	for _, count := range []int{0, 1, packet.BatchSize, packet.BatchSize + 1, 200} {
		b, w, app := bridged(t)
		for range count {
			if err := app.Write([]byte("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		app.Close()
		<-b.ended
		if got := w.sent.Load(); got != int64(count) || !w.closed.Load() {
			t.Errorf("%d of %d packets sent, closed %v", got, count, w.closed.Load())
		}
	}
}

func BenchmarkBridge(b *testing.B) {
	for name, carry := range map[string]func(testing.TB, *wirePort, *ring.End, []*packet.Buffer){"down": fromNetwork, "up": toNetwork} {
		b.Run(name, func(b *testing.B) {
			_, w, app := bridged(b)
			batch := make([]*packet.Buffer, packet.BatchSize)
			b.ReportAllocs()
			for b.Loop() {
				carry(b, w, app, batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packet.BatchSize, "ns/packet")
		})
	}
}
