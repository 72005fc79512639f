// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"encoding/binary"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

func TestForwardAllocates(t *testing.T) {
	h, send, _ := benchHub(t)
	send()
	if n := testing.AllocsPerRun(100, send); n >= 1 {
		t.Errorf("%v allocations per batch", n)
	}
	h.close()
}

// sink is a connection that takes everything.
type sink struct{ end }

func (s *sink) Send(pkts []*packet.Buffer) { packet.ReleaseBatch(pkts) }
func (s *sink) Receive(layer.Receiver)     {}
func (s *sink) MTU() int                   { return 1496 }
func (s *sink) Close() error               { return nil }
func (s *sink) Dst() string                { return "" }
func (s *sink) Ours() bool                 { return true }

// benchHub is a member with three connections; send brings a batch on one.
func benchHub(t testing.TB) (h *hub, send func(), batch int) {
	h = testHub()
	for range 3 {
		h.attach(&sink{})
	}
	from := h.list.Load().all[0]
	batch = 64
	pkts := make([]*packet.Buffer, batch)
	var n uint64
	return h, func() {
		packet.GetBatch(pkts, 1024)
		for _, b := range pkts {
			n++
			b.SetLen(1024)
			binary.BigEndian.PutUint64(b.Bytes(), n)
		}
		from.Packets(pkts)
	}, batch
}

func BenchmarkForward(b *testing.B) {
	b.ReportAllocs()
	_, send, batch := benchHub(b)
	for i := 0; i < b.N; i += batch {
		send()
	}
}
