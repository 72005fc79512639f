// SPDX-License-Identifier: BSD-3-Clause

// Package egress is the place in front of the wire where the packets of a shim
// wait (DESIGN §3): a queue for each QoS cube, sent in order of priority with
// a share kept for the lower ones.
//
// Start with New, which needs an Outlet, and Egress.Enqueue.
package egress

import (
	"sync"
	"sync/atomic"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

const (
	// Limit is how many packets wait in each queue: about 2 ms of a
	// 5 Gbit/s tunnel.
	Limit = 1024
	// manageRoom is kept free for management messages, of which each is
	// sent but once; packets.
	manageRoom = 64
	// Batch is the most that an Outlet is given at once; packets.
	Batch = packet.BatchSize
	// reserve is the share of a batch that a lower cube keeps while higher
	// ones could fill it; packets.
	reserve = Batch / 16
	// callerRounds is how many batches a caller sends, which may be those
	// of others, before the egress's own goroutine goes on.
	callerRounds = 4
)

// Item is a packet and where it goes. D is what a shim needs to know of a
// destination.
type Item[D any] struct {
	Buf *packet.Buffer
	To  *D
}

// Outlet is the way out of a shim. It is called once per batch.
type Outlet[D any] interface {
	// Send hands items to the wire, in order, and releases their buffers,
	// also of those that are refused for good. It returns how many it has
	// dealt with: fewer than all if there is no room now, for which Wait
	// waits. Calls come one at a time, perhaps from different goroutines.
	Send(items []Item[D]) int
	// Wait blocks until there may be room again. It returns false if that
	// will never be.
	Wait() bool
}

// Egress queues packets by cube and sends them in order of priority. Who
// finds it idle sends at once, his own and what others enqueue meanwhile
// ("combining"), so an idle egress costs no hand-over and a busy one fills
// batches. When there is no room, or a caller has sent enough, a goroutine of
// the egress goes on.
type Egress[D any] struct {
	outlet Outlet[D]

	// Belong to whoever made sending true.
	batch      [Batch]Item[D]
	start, end int // batch[start:end] is not sent yet

	blocked atomic.Int32 // of the batch, packets that wait for room
	drops   *Drops

	mu      sync.Mutex // guards what follows
	queues  [qos.Cubes]ring[D]
	sending bool // somebody sends, and looks at the queues again afterwards
	closed  bool
	idle    sync.Cond // closed, and sending ended

	wake chan struct{} // hands sending over to the goroutine
	done sync.WaitGroup
}

// Drops counts packets that were not sent.
type Drops struct {
	Full      atomic.Uint64 // queue full, or closed
	Abandoned atomic.Uint64 // without room until the end
}

// New returns an Egress that is to be closed. It counts in d.
func New[D any](o Outlet[D], d *Drops) *Egress[D] {
	e := &Egress[D]{outlet: o, drops: d, wake: make(chan struct{}, 1)}
	e.idle.L = &e.mu
	e.done.Go(e.run)
	return e
}

// Enqueue sends packets to one destination, in the cube of their flow or in
// that of their mark (packet.Buffer.SetCube), if that is higher. It takes
// ownership of the buffers, but not of the slice, of which it may change the
// elements. It never blocks: what finds its queue full is dropped. Packets of
// one caller in one cube keep their order.
func (e *Egress[D]) Enqueue(to *D, cube qos.Cube, pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	lost := 0 // in pkts[:lost]
	e.mu.Lock()
	for i := 0; i < len(pkts); {
		// A run of packets of one cube; almost always it is all.
		mark := pkts[i].Cube()
		j := i + 1
		for j < len(pkts) && pkts[j].Cube() == mark {
			j++
		}
		n := 0
		if !e.closed {
			n = e.queues[raise(cube, mark)].push(to, pkts[i:j], Limit)
		}
		lost += copy(pkts[lost:], pkts[i+n:j])
		i = j
	}
	e.startAndUnlock()
	e.drop(pkts[:lost])
}

// raise returns the cube of a packet in a flow of the given cube. A mark that
// is no cube counts for nothing.
func raise(cube qos.Cube, mark uint8) qos.Cube {
	if mark >= qos.Cubes {
		return cube
	}
	return max(cube, qos.Cube(mark))
}

// Manage sends a management message, for which there is a little more room.
// It takes ownership of the buffer.
func (e *Egress[D]) Manage(to *D, cube qos.Cube, b *packet.Buffer) {
	pkts := [1]*packet.Buffer{b}
	n := 0
	e.mu.Lock()
	if !e.closed {
		n = e.queues[cube].push(to, pkts[:], Limit+manageRoom)
	}
	e.startAndUnlock()
	e.drop(pkts[n:])
}

// drop releases and counts what found no place.
func (e *Egress[D]) drop(pkts []*packet.Buffer) {
	if len(pkts) > 0 {
		e.drops.Full.Add(uint64(len(pkts)))
		packet.ReleaseBatch(pkts)
	}
}

// Queued returns how many packets wait in front of the next one of a flow of
// the given cube: those of its cube and of higher ones, and what was taken
// from the queues already but finds no room. Priority leaves each lower cube
// but a sixteenth of a batch, so those count for nothing.
func (e *Egress[D]) Queued(cube qos.Cube) int {
	n := e.blocked.Load()
	for c := cube; c < qos.Cubes; c++ {
		n += e.queues[c].waiting.Load()
	}
	return int(n)
}

// Close takes nothing more, waits until what is queued went out, and ends the
// goroutine. The outlet's Wait must return false from now on, so that a wire
// without room ends the waiting.
func (e *Egress[D]) Close() {
	e.mu.Lock()
	e.closed = true
	for e.sending {
		e.idle.Wait()
	}
	e.mu.Unlock()
	close(e.wake)
	e.done.Wait()
}
