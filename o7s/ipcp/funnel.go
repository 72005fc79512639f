// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import (
	"sync"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// Limits of what a Funnel keeps, in packets.
const (
	// funnelEarly: the peer may send as soon as it was accepted, but nobody
	// may fill our memory with packets for a flow that is not in use yet.
	funnelEarly = 256
	// funnelBusy: what other goroutines deliver while one is with the
	// receiver. Some batches; a receiver that is slower must lose packets
	// somewhere.
	funnelBusy = 1024
)

// Funnel is the receiving half of a layer.Port that is fed by several
// goroutines. It calls the receiver one call at a time and keeps order, but
// nobody waits for anybody: whoever finds the receiver idle carries his packets
// to it at once, and before he leaves also what others brought meanwhile. No
// lock is held during a call, so a receiver may send, be sent to and close
// from within. The zero value is ready.
type Funnel struct {
	mu      sync.Mutex
	r       layer.Receiver   // guarded by mu, as is all below
	busy    bool             // somebody is with the receiver
	queue   []*packet.Buffer // waiting for him, or for Receive
	spare   []*packet.Buffer // empty; its memory is the next queue
	event   layer.Event      // likewise waiting, behind the queue
	ended   bool             // Closed was reported
	closed  bool
	dropped uint64
}

// Deliver hands packets to the receiver, or keeps them for it. It takes
// ownership of the buffers, but not of the slice.
func (f *Funnel) Deliver(pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	f.mu.Lock()
	switch {
	case f.closed || f.ended:
		f.mu.Unlock()
		packet.ReleaseBatch(pkts)
		return
	case f.busy || f.r == nil:
		limit := funnelBusy
		if f.r == nil {
			limit = funnelEarly
		}
		n := max(0, min(len(pkts), limit-len(f.queue)))
		f.queue = append(f.queue, pkts[:n]...)
		f.dropped += uint64(len(pkts) - n)
		f.mu.Unlock()
		packet.ReleaseBatch(pkts[n:])
		return
	}
	f.busy = true
	r := f.r
	f.mu.Unlock()
	r.Packets(pkts)
	f.drain(r)
}

// Notify reports an event behind the packets delivered so far. Of several
// that wait only the last is reported; after Closed nothing is.
func (f *Funnel) Notify(e layer.Event) {
	f.mu.Lock()
	if f.closed || f.ended {
		f.mu.Unlock()
		return
	}
	f.event = e
	f.ended = e == layer.Closed
	f.start()
}

// Receive sets the receiver and hands it what was kept. A second call panics.
func (f *Funnel) Receive(r layer.Receiver) {
	f.mu.Lock()
	if f.r != nil {
		f.mu.Unlock()
		panic("ipcp: receiver set twice")
	}
	f.r = r
	f.start()
}

// start unlocks f.mu and brings what waits to an idle receiver.
func (f *Funnel) start() {
	r := f.r
	if f.busy || r == nil {
		f.mu.Unlock()
		return
	}
	f.busy = true
	f.mu.Unlock()
	f.drain(r)
}

// drain brings to the receiver what waits and then marks it idle.
func (f *Funnel) drain(r layer.Receiver) {
	f.mu.Lock()
	for {
		switch {
		case f.closed || len(f.queue) == 0 && f.event == 0:
			f.busy = false
			f.mu.Unlock()
			return
		case len(f.queue) > 0:
			q := f.queue
			f.queue, f.spare = f.spare, nil
			f.mu.Unlock()
			r.Packets(q)
			clear(q)
			f.mu.Lock()
			f.spare = q[:0]
		default:
			e := f.event
			f.event = 0
			f.mu.Unlock()
			r.Event(e)
			f.mu.Lock()
		}
	}
}

// Close stops delivery and releases what was kept.
func (f *Funnel) Close() {
	f.mu.Lock()
	q := f.queue
	f.closed, f.queue, f.spare, f.event = true, nil, nil, 0
	f.mu.Unlock()
	packet.ReleaseBatch(q)
}

// Dropped returns how many packets came too early or too fast to be kept.
func (f *Funnel) Dropped() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}
