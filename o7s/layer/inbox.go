// SPDX-License-Identifier: BSD-3-Clause

package layer

import (
	"sync"
	"sync/atomic"

	"o7gw/o7s/packet"
)

// inboxLimit is how many packets an Inbox keeps before a receiver is set:
// the peer may send as soon as it was accepted, but nobody may fill our
// memory with packets for a flow that is not in use yet.
const inboxLimit = 256

// Inbox is the receiving half of a Port: it keeps what arrives before
// Receive, and delivers nothing after Close. The zero value is ready.
//
// Deliver and Notify must not be called concurrently with each other; they
// may be called concurrently with Receive and Close.
type Inbox struct {
	mu      sync.Mutex // guards everything but the fast path
	r       atomic.Pointer[Receiver]
	kept    []*packet.Buffer
	event   Event
	closed  atomic.Bool
	dropped atomic.Uint64
}

// Deliver hands packets to the receiver, or keeps them for it. It takes
// ownership of the buffers.
func (i *Inbox) Deliver(pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	if i.closed.Load() {
		packet.ReleaseBatch(pkts)
		return
	}
	if r := i.r.Load(); r != nil {
		(*r).Packets(pkts)
		return
	}
	i.mu.Lock()
	if r := i.r.Load(); r != nil { // set meanwhile
		i.mu.Unlock()
		(*r).Packets(pkts)
		return
	}
	n := min(len(pkts), inboxLimit-len(i.kept))
	if i.closed.Load() {
		n = 0
	}
	i.kept = append(i.kept, pkts[:n]...)
	i.mu.Unlock()
	i.dropped.Add(uint64(len(pkts) - n))
	packet.ReleaseBatch(pkts[n:])
}

// Notify reports an event, or keeps the last one for the receiver.
func (i *Inbox) Notify(e Event) {
	i.mu.Lock()
	r := i.r.Load()
	if r == nil {
		i.event = e
	}
	i.mu.Unlock()
	if r != nil && !i.closed.Load() {
		(*r).Event(e)
	}
}

// Receive sets the receiver and hands it what was kept. A second call
// panics.
func (i *Inbox) Receive(r Receiver) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.r.Load() != nil {
		panic("layer: receiver set twice")
	}
	kept, event := i.kept, i.event
	i.kept, i.event = nil, 0
	if i.closed.Load() {
		packet.ReleaseBatch(kept)
		kept, event = nil, 0
	}
	// Under the lock, so that nothing delivered meanwhile overtakes.
	if len(kept) > 0 {
		r.Packets(kept)
	}
	if event != 0 {
		r.Event(event)
	}
	i.r.Store(&r)
}

// Close stops delivery and releases what was kept.
func (i *Inbox) Close() {
	i.closed.Store(true)
	i.mu.Lock()
	packet.ReleaseBatch(i.kept)
	i.kept = nil
	i.mu.Unlock()
}

// Dropped returns how many packets arrived too early to be kept.
func (i *Inbox) Dropped() uint64 { return i.dropped.Load() }
