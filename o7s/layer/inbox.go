// SPDX-License-Identifier: BSD-3-Clause

package layer

import (
	"sync"

	"o7gw/o7s/packet"
)

// Limits of what an Inbox keeps, in packets.
const (
	// inboxEarly: the peer may send as soon as it was accepted, and close at
	// once; what it sent until the user of the flow is awake must not be lost.
	// But nobody may fill our memory with packets for a flow that is not in
	// use yet.
	inboxEarly = 2048
	// inboxBusy: what other goroutines deliver while one is with the
	// receiver. Some batches; a receiver that is slower must lose packets
	// somewhere. No less than what may wait already when it begins.
	inboxBusy = inboxEarly
)

// Inbox is the receiving half of a Port that is fed by several
// goroutines. It calls the receiver one call at a time and keeps order, but
// nobody waits for anybody: whoever finds the receiver idle carries his packets
// to it at once, and before he leaves also what others brought meanwhile. No
// lock is held during a call, so a receiver may send, be sent to and close
// from within. The zero value is ready.
type Inbox struct {
	mu      sync.Mutex
	r       Receiver         // guarded by mu, as is all below
	busy    bool             // somebody is with the receiver
	queue   []*packet.Buffer // waiting for him, or for Receive
	spare   []*packet.Buffer // empty; its memory is the next queue
	event   Event            // likewise waiting, behind the queue
	ended   bool             // Closed was reported
	closed  bool
	dropped uint64
}

// Deliver hands packets to the receiver, or keeps them for it. It takes
// ownership of the buffers, but not of the slice.
func (i *Inbox) Deliver(pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	i.mu.Lock()
	switch {
	case i.closed || i.ended:
		i.mu.Unlock()
		packet.ReleaseBatch(pkts)
		return
	case i.busy || i.r == nil:
		limit := inboxBusy
		if i.r == nil {
			limit = inboxEarly
		}
		n := max(0, min(len(pkts), limit-len(i.queue)))
		i.queue = append(i.queue, pkts[:n]...)
		i.dropped += uint64(len(pkts) - n)
		i.mu.Unlock()
		packet.ReleaseBatch(pkts[n:])
		return
	}
	i.busy = true
	r := i.r
	i.mu.Unlock()
	r.Packets(pkts)
	i.drain(r)
}

// Notify reports an event behind the packets delivered so far. Of several
// that wait only the last is reported; after Closed nothing is.
func (i *Inbox) Notify(e Event) {
	i.mu.Lock()
	if i.closed || i.ended {
		i.mu.Unlock()
		return
	}
	i.event = e
	i.ended = e == Closed
	i.start()
}

// Receive sets the receiver and hands it what was kept. A second call panics.
func (i *Inbox) Receive(r Receiver) {
	i.mu.Lock()
	if i.r != nil {
		i.mu.Unlock()
		panic("layer: receiver set twice")
	}
	i.r = r
	i.start()
}

// start unlocks i.mu and brings what waits to an idle receiver.
func (i *Inbox) start() {
	r := i.r
	if i.busy || r == nil {
		i.mu.Unlock()
		return
	}
	i.busy = true
	i.mu.Unlock()
	i.drain(r)
}

// drain brings to the receiver what waits and then marks it idle.
func (i *Inbox) drain(r Receiver) {
	i.mu.Lock()
	for {
		switch {
		case i.closed || len(i.queue) == 0 && i.event == 0:
			i.busy = false
			i.mu.Unlock()
			return
		case len(i.queue) > 0:
			q := i.queue
			i.queue, i.spare = i.spare, nil
			i.mu.Unlock()
			r.Packets(q)
			clear(q)
			i.mu.Lock()
			i.spare = q[:0]
		default:
			e := i.event
			i.event = 0
			i.mu.Unlock()
			r.Event(e)
			i.mu.Lock()
		}
	}
}

// Close stops delivery and releases what was kept.
func (i *Inbox) Close() {
	i.mu.Lock()
	q := i.queue
	i.closed, i.queue, i.spare, i.event = true, nil, nil, 0
	i.mu.Unlock()
	packet.ReleaseBatch(q)
}

// Busy reports whether a call of the receiver is under way.
func (i *Inbox) Busy() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.busy
}

// Dropped returns how many packets came too early or too fast to be kept.
func (i *Inbox) Dropped() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.dropped
}
