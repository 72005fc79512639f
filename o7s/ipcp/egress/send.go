// SPDX-License-Identifier: BSD-3-Clause

package egress

import (
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// startAndUnlock sends if nobody does.
func (e *Egress[D]) startAndUnlock() {
	if e.sending {
		e.mu.Unlock()
		return
	}
	e.sending = true
	for range callerRounds {
		if e.takeLocked() == 0 {
			e.stopLocked()
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		if !e.send() {
			e.wake <- struct{}{}
			return
		}
		e.mu.Lock()
	}
	e.mu.Unlock()
	e.wake <- struct{}{} // has room: one owner of sending, one token
}

// takeLocked moves the next packets from the queues to the batch, which is
// empty, and returns how many. Each lower cube keeps its reserve.
func (e *Egress[D]) takeLocked() int {
	e.start, e.end = 0, 0
	for c := qos.Cubes - 1; c >= 0; c-- {
		kept := 0
		for lower := range c {
			kept += min(e.queues[lower].len(), reserve)
		}
		e.end += e.queues[c].pop(e.batch[e.end : Batch-kept])
	}
	return e.end
}

// stopLocked gives up the right to send.
func (e *Egress[D]) stopLocked() {
	e.sending = false
	if e.closed {
		e.idle.Broadcast()
	}
}

// send hands the batch to the outlet. It reports false if part of it is left.
func (e *Egress[D]) send() bool {
	e.start += e.outlet.Send(e.batch[e.start:e.end])
	left := int32(e.end - e.start)
	if left > 0 || e.blocked.Load() > 0 {
		e.blocked.Store(left)
	}
	return left == 0
}

// run sends what callers leave over.
func (e *Egress[D]) run() {
	for range e.wake {
		for {
			for !e.send() {
				if !e.outlet.Wait() {
					e.abandon()
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

// abandon drops what is left of the batch.
func (e *Egress[D]) abandon() {
	rest := e.batch[e.start:e.end]
	e.drops.Abandoned.Add(uint64(len(rest)))
	Release(rest)
	e.start = e.end
}

// Release gives back the buffers of items, and clears them.
func Release[D any](items []Item[D]) {
	var bufs [Batch]*packet.Buffer
	for len(items) > 0 {
		n := min(len(items), Batch)
		for i, it := range items[:n] {
			bufs[i] = it.Buf
		}
		packet.ReleaseBatch(bufs[:n])
		clear(items[:n])
		items = items[n:]
	}
}
