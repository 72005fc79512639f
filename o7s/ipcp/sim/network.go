// SPDX-License-Identifier: BSD-3-Clause

// Package sim is a network in memory for tests (DESIGN §5, §9): IPC processes
// attached to links with loss, delay, jitter, reordering, duplication, limited
// rate and queue, which can be cut and mended. Layers are built over its IPC
// processes exactly as over real ones.
//
// Time is read and waited for only with package time, so a network made inside
// a testing/synctest bubble runs in fake time. Chance comes from the seed
// alone, and each direction between two stations has its own sequence, so that
// traffic elsewhere changes nothing. Everything that arrives is handled by one
// goroutine at a time in a fixed order. So a run is repeatable as far as its
// users send in a fixed order.
//
// Start with NewNetwork and Network.NewLink; Link.NewIPCP attaches an IPC
// process, Network.Pair gives the two ports of a flow without any.
package sim

import (
	"container/heap"
	"sync"
	"time"

	"o7gw/o7s/packet"
)

// Network is a set of links with one clock and one seed.
type Network struct {
	seed  uint64
	start time.Time

	mu      sync.Mutex // guards all below, and links, stations, channels and ports
	links   int
	posted  uint64 // events without a way
	pending events
	timer   *time.Timer
	running bool      // dispatch is at work
	idle    sync.Cond // not running
	closed  bool
}

// NewNetwork returns an empty network. Equal seeds give equal chance.
func NewNetwork(seed uint64) *Network {
	n := &Network{seed: seed, start: time.Now()}
	n.idle.L = &n.mu
	n.timer = time.AfterFunc(time.Hour, n.dispatch)
	n.timer.Stop()
	return n
}

// Close stops the network: nothing arrives any more, and no goroutine is left.
// IPC processes are to be closed before. It must not be called by a receiver.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.timer.Stop()
	for n.running {
		n.idle.Wait()
	}
	for _, e := range n.pending {
		e.releaseLocked()
	}
	n.pending = nil
}

// event is something that arrives, a packet for a port or a call, or a channel
// that can send the next message.
type event struct {
	at  time.Duration // since the start of the network
	way *channel      // it comes by; nil for what happens at a station itself
	seq uint64        // per way, or per network
	pkt *packet.Buffer
	to  *port
	fn  func()

	serve *channel
}

// releaseLocked gives up an event. n.mu is held.
func (e *event) releaseLocked() {
	if e.pkt != nil {
		e.pkt.Release()
	}
	if e.serve != nil {
		e.serve.abandonLocked()
	}
}

// now returns the time since the start of the network.
func (n *Network) now() time.Duration { return time.Since(n.start) }

// postLocked schedules an event. n.mu is held; the caller calls armLocked when
// he has posted all.
func (n *Network) postLocked(e event) {
	if n.closed {
		e.releaseLocked()
		return
	}
	heap.Push(&n.pending, e)
}

// postHereLocked schedules a call at a station itself, at once. n.mu is held.
func (n *Network) postHereLocked(fn func()) {
	n.posted++
	n.postLocked(event{at: n.now(), seq: n.posted, fn: fn})
}

// postServeLocked schedules the next message of a channel. n.mu is held.
func (n *Network) postServeLocked(c *channel) {
	n.posted++
	n.postLocked(event{at: c.free, seq: n.posted, serve: c})
}

// arriveLocked appends the packet of e to batch if it gets through. n.mu is
// held.
func (e *event) arriveLocked(batch []*packet.Buffer) []*packet.Buffer {
	if !e.way.arrivesLocked() {
		e.pkt.Release()
		return batch
	}
	return append(batch, e.pkt)
}

// armLocked sets the timer for the earliest event. n.mu is held.
func (n *Network) armLocked() {
	if n.running || n.closed || len(n.pending) == 0 {
		return
	}
	n.timer.Reset(max(0, n.pending[0].at-n.now()))
}

// dispatch handles what is due. It is the function of the timer.
func (n *Network) dispatch() {
	// No deferred Unlock: mu is free during calls, and must not hide their
	// panic.
	n.mu.Lock()
	if n.running || n.closed {
		n.mu.Unlock()
		return
	}
	n.running = true
	var batch []*packet.Buffer
	for !n.closed && len(n.pending) > 0 && n.pending[0].at <= n.now() {
		e := heap.Pop(&n.pending).(event)
		if e.serve != nil {
			e.serve.serveLocked()
			continue
		}
		if e.fn != nil {
			if e.way == nil || e.way.arrivesLocked() {
				n.mu.Unlock()
				e.fn()
				n.mu.Lock()
			}
			continue
		}
		// Packets for one port that are due together arrive together.
		to, now := e.to, n.now()
		batch = e.arriveLocked(batch[:0])
		for len(batch) < packet.BatchSize && len(n.pending) > 0 && n.pending[0].to == to && n.pending[0].at <= now {
			e = heap.Pop(&n.pending).(event)
			batch = e.arriveLocked(batch)
		}
		n.mu.Unlock()
		to.in.Deliver(batch)
		n.mu.Lock()
	}
	n.running = false
	n.idle.Broadcast()
	n.armLocked()
	n.mu.Unlock()
}

// events is a heap ordered by time; what is due at the same instant goes by
// way and then by order of sending.
type events []event

func (h events) Len() int { return len(h) }
func (h events) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	if a.at != b.at {
		return a.at < b.at
	}
	if aw, bw := a.way.id(), b.way.id(); aw != bw {
		return aw < bw
	}
	return a.seq < b.seq
}
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *events) Push(x any)   { *h = append(*h, x.(event)) }
func (h *events) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}
