// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"o7gw/o7s/layer"
)

// nothing drains a machine whose output nobody wants.
func nothing(d *DHT) { d.Drain(func(uint64, []byte) {}, func(uint64, []uint64) {}) }

// large returns a node of a layer of 200, with a hundred values held.
func large(tb testing.TB) (*bus, []*member, []layer.Hash) {
	b := newBus(tb, 1)
	all, keys := b.named(200)
	b.run(20 * time.Second)
	return b, all, keys
}

// A request of a known member, which takes no memory.
func BenchmarkReceiveFind(b *testing.B) {
	_, all, keys := large(b)
	d := all[0].d
	var from *contact
	d.table.each(func(c *contact) {
		if !c.spare {
			from = c
		}
	})
	for _, k := range []kind{findNode, findValue} {
		b.Run([]string{1: "Node", 3: "Value"}[k], func(b *testing.B) {
			msg := (&message{kind: k, src: from.msg, find: findMsg{77, []byte(keys[3])}}).append(nil)
			now := epoch.Add(time.Minute)
			b.ReportAllocs()
			for b.Loop() {
				d.Receive(now, msg)
				nothing(d)
			}
		})
	}
}

// A STORE that is known already.
func BenchmarkReceiveStore(b *testing.B) {
	_, all, keys := large(b)
	d := all[0].d
	msg := (&message{kind: store, src: all[1].d.table.buckets[0].contacts[0].msg, store: storeMsg{[]byte(keys[3]), value(9), uint32(epoch.Unix() + 86400)}}).append(nil)
	now := epoch.Add(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		d.Receive(now, msg)
		nothing(d)
	}
}

// A look-up over a layer of 200 nodes: the work of all nodes that take part.
func BenchmarkLookup(b *testing.B) {
	bus, all, keys := large(b)
	sent := bus.sent
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		n := all[i%len(all)]
		clear(n.d.cache)
		if got, _ := bus.lookup(n, keys[(7*i+1)%len(keys)]); len(got) == 0 && i%len(all) != (7*i+1)%len(keys) {
			b.Fatal("not found")
		}
	}
	b.ReportMetric(float64(bus.sent-sent)/float64(b.N), "messages/op")
}

// A request that is parsed only.
func BenchmarkParse(b *testing.B) {
	msg := captured(b, "uni-dix.pcap")[0].Payload
	var m message
	b.ReportAllocs()
	for b.Loop() {
		if m.parse(msg) != nil {
			b.Fatal("not parsed")
		}
	}
}

// What one node of a layer of 500 needs, each of which serves a name.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		bus := newBus(b, 1)
		all, _ := bus.named(500)
		bus.run(time.Minute) // answers are no longer awaited
		bus.queue = nil
		runtime.GC()
		runtime.ReadMemStats(&after)
		contacts, values := 0, 0
		for _, m := range all {
			contacts += m.d.table.known()
			values += m.d.values
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/500, "bytes/node")
		b.ReportMetric(float64(contacts)/500, "contacts/node")
		b.ReportMetric(float64(values)/500, "values/node")
		b.ReportMetric(float64(unsafe.Sizeof(contact{})), "bytes/contact")
		runtime.KeepAlive(bus)
	}
}

// Requests from known members and parsing take no memory.
func TestAllocations(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	s.meet(8)
	s.from(9, message{kind: store, store: storeMsg{[]byte(stageKey), value(9), uint32(s.now.Unix() + 100)}})
	for _, k := range []kind{findNode, findValue} {
		msg := (&message{kind: k, src: contactMsg{peerID(7), 7}, find: findMsg{5, []byte(stageKey)}}).append(nil)
		nothing(s.d)
		if n := testing.AllocsPerRun(100, func() {
			s.d.Receive(s.now, msg)
			nothing(s.d)
		}); n != 0 {
			t.Errorf("message %d: %v allocations", k, n)
		}
	}
}
