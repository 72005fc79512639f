// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
	"sync/atomic"

	"o7gw/o7s/packet"
)

// queueMost bounds what waits while somebody writes, bytes: enough to write
// batches, less than the caches and pools hold.
const queueMost = 4 << 20

// output collects packets for the device. Who finds it idle writes at once,
// and what others add meanwhile, too; so an idle device has no extra hop, and
// a busy one gets batches.
type output struct {
	mu      sync.Mutex
	room    sync.Cond // queue became shorter
	queue   []*packet.Buffer
	queued  int // bytes
	spare   []*packet.Buffer
	writing bool

	w Writer // used by whoever is writing

	packets, bytes, dropped atomic.Uint64
}

func newOutput(w Writer) *output {
	o := &output{w: w}
	o.room.L = &o.mu
	return o
}

// send sends packets; it takes the buffers, not the slice. If too much waits
// already it waits, too, or drops.
func (o *output) send(pkts []*packet.Buffer, wait bool) {
	bytes := 0
	for _, b := range pkts {
		bytes += b.Len()
	}
	o.mu.Lock()
	for o.queued >= queueMost {
		if !wait {
			o.mu.Unlock()
			o.dropped.Add(uint64(len(pkts)))
			packet.ReleaseBatch(pkts)
			return
		}
		o.room.Wait() // the writer does not wait for anybody
	}
	o.queue = append(o.queue, pkts...)
	o.queued += bytes
	for !o.writing && len(o.queue) > 0 {
		o.writeLocked()
	}
	o.mu.Unlock()
	o.packets.Add(uint64(len(pkts)))
	o.bytes.Add(uint64(bytes))
}

// writeLocked writes what is queued; mu is free meanwhile.
func (o *output) writeLocked() {
	batch := o.queue
	o.queue, o.spare, o.queued = o.spare[:0], nil, 0
	o.writing = true
	o.room.Broadcast()
	o.mu.Unlock()
	o.w.Write(batch)
	o.mu.Lock()
	o.writing = false
	o.spare = batch[:0]
}
