// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"sync"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

const (
	// queueLimit is how many packets wait in each queue: about 2 ms of a
	// 5 Gbit/s tunnel.
	queueLimit = 1024
	// manageRoom is kept free for management messages, of which each is
	// sent but once; packets.
	manageRoom = 64
	// batchLimit is how many packets go into one system call.
	batchLimit = packet.BatchSize
	// reserve is the share of a batch that a lower cube keeps while higher
	// ones could fill it; packets.
	reserve = batchLimit / 16
	// callerRounds is how many batches a caller sends, which may be those
	// of others, before the egress's own goroutine goes on.
	callerRounds = 4
)

// egress queues frames by cube and sends them in order of priority. Who
// finds it idle sends at once, his own and what others enqueue meanwhile
// ("combining"), so an idle egress costs no hand-over and a busy one fills
// batches. When the socket is full, or a caller has sent enough, a goroutine
// of the egress goes on.
type egress struct {
	outlet outlet // belongs to whoever made sending true
	stats  *counters

	mu      sync.Mutex // guards what follows
	queues  [qos.Cubes]queue
	sending bool // somebody sends, and looks at the queues again afterwards
	closed  bool
	idle    sync.Cond // closed, and sending ended

	wake chan struct{} // hands sending over to the goroutine
	done sync.WaitGroup
}

func newEgress(s *socket, c *counters) *egress {
	e := &egress{stats: c, wake: make(chan struct{}, 1)}
	e.idle.L = &e.mu
	e.outlet.init(s, c)
	e.done.Go(e.run)
	return e
}

// enqueue takes ownership of the frames, but not of the slice. It never
// blocks.
func (e *egress) enqueue(cube qos.Cube, pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	e.mu.Lock()
	n := 0
	if !e.closed {
		n = e.queues[cube].push(pkts, queueLimit)
	}
	e.startAndUnlock()
	if n < len(pkts) {
		e.stats.full.Add(uint64(len(pkts) - n))
		release(pkts[n:])
	}
}

// manage enqueues the frame of a management message.
func (e *egress) manage(cube qos.Cube, frame *packet.Buffer) {
	frames := [1]*packet.Buffer{frame}
	e.mu.Lock()
	n := 0
	if !e.closed {
		n = e.queues[cube].push(frames[:], queueLimit+manageRoom)
	}
	e.startAndUnlock()
	if n == 0 {
		e.stats.full.Add(1)
		frame.Release()
	}
}

// startAndUnlock sends if nobody does.
func (e *egress) startAndUnlock() {
	if e.sending {
		e.mu.Unlock()
		return
	}
	e.sending = true
	for range callerRounds {
		n := e.takeLocked()
		if n == 0 {
			e.stopLocked()
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		if !e.outlet.send() {
			e.wake <- struct{}{}
			return
		}
		e.mu.Lock()
	}
	e.mu.Unlock()
	e.wake <- struct{}{} // has room: one owner of sending, one token
}

// takeLocked moves the next packets from the queues to the outlet, and
// returns how many. Each lower cube keeps its reserve.
func (e *egress) takeLocked() int {
	room := batchLimit
	for c := qos.Cubes - 1; c >= 0; c-- {
		kept := 0
		for lower := range c {
			kept += min(e.queues[lower].len(), reserve)
		}
		room -= e.queues[c].pop(&e.outlet, room-kept)
	}
	return batchLimit - room
}

// run sends what callers leave over.
func (e *egress) run() {
	for range e.wake {
		for {
			for !e.outlet.send() {
				if !e.outlet.sock.waitWritable() {
					e.outlet.abandon()
				}
			}
			e.mu.Lock()
			if e.takeLocked() == 0 {
				e.stopLocked()
				e.mu.Unlock()
				break
			}
			e.mu.Unlock()
		}
	}
}

// close takes nothing more, waits until what is queued went out, and ends the
// goroutine. The socket's wakeAll must have been called, so that a full socket
// buffer ends the waiting.
func (e *egress) close() {
	e.mu.Lock()
	e.closed = true
	for e.sending {
		e.idle.Wait()
	}
	e.mu.Unlock()
	close(e.wake)
	e.done.Wait()
}

// stopLocked gives up the right to send.
func (e *egress) stopLocked() {
	e.sending = false
	if e.closed {
		e.idle.Broadcast()
	}
}
