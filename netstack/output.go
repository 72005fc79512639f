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

// turns is how many batches one goroutine writes for others before it hands
// that over: its own connections wait meanwhile.
const turns = 8

// output collects packets for the device. Who finds it idle writes at once,
// and what others add meanwhile, too; so an idle device has no extra hop, and
// a busy one gets batches. If there is no end of that, a goroutine takes over.
type output struct {
	mu      sync.Mutex
	room    sync.Cond // queue became shorter
	over    sync.Cond // handed or closed became true
	queue   [kinds][]*packet.Buffer
	spare   [kinds][]*packet.Buffer
	queued  int  // bytes
	writing bool // somebody writes until the queue is empty
	handed  bool // it shall be the goroutine
	closed  bool

	w  Writer        // used by whoever is writing
	ow OffloadWriter // the same, if it is one

	wg sync.WaitGroup

	packets, bytes, dropped atomic.Uint64
}

// Kinds of packets that are written apart.
const (
	whole     = iota
	offloaded // with a virtio_net_hdr
	kinds
)

func newOutput(w Writer) *output {
	o := &output{w: w}
	o.ow, _ = w.(OffloadWriter)
	o.room.L, o.over.L = &o.mu, &o.mu
	o.wg.Go(o.relieve)
	return o
}

// relieve writes when somebody has written enough for others.
func (o *output) relieve() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for !o.handed && !o.closed {
			o.over.Wait()
		}
		if !o.handed {
			return
		}
		o.handed = false
		for o.waitsLocked() {
			o.writeLocked()
		}
		o.writing = false
	}
}

func (o *output) waitsLocked() bool { return len(o.queue[whole])+len(o.queue[offloaded]) > 0 }

// close ends the goroutine. What is sent later is still written.
func (o *output) close() {
	o.mu.Lock()
	o.closed = true
	o.over.Signal()
	o.mu.Unlock()
	o.wg.Wait()
}

// send sends packets; it takes the buffers, not the slice. offload says that
// they have a virtio_net_hdr. If too much waits already it waits, too, or drops.
func (o *output) send(pkts []*packet.Buffer, offload, wait bool) {
	kind := whole
	if offload {
		kind = offloaded
	}
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
	o.queue[kind] = append(o.queue[kind], pkts...)
	o.queued += bytes
	if !o.writing {
		o.writing = true
		for n := 0; o.waitsLocked() && (n < turns || o.closed); n++ {
			o.writeLocked()
		}
		if o.writing = o.waitsLocked(); o.writing {
			o.handed = true
			o.over.Signal()
		}
	}
	o.mu.Unlock()
	o.packets.Add(uint64(len(pkts)))
	o.bytes.Add(uint64(bytes))
}

// writeLocked writes what is queued; mu is free meanwhile.
func (o *output) writeLocked() {
	batch := o.queue
	for i := range o.queue {
		o.queue[i] = o.spare[i][:0]
	}
	o.spare, o.queued = [kinds][]*packet.Buffer{}, 0
	o.room.Broadcast()
	o.mu.Unlock()
	if len(batch[whole]) > 0 {
		o.w.Write(batch[whole])
	}
	if len(batch[offloaded]) > 0 {
		o.ow.WriteOffloaded(batch[offloaded])
	}
	o.mu.Lock()
	for i := range batch {
		o.spare[i] = batch[i][:0]
	}
}
