// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"container/heap"
	"time"
)

// timer is something to be done later. It is part of what it is for. The zero
// value with do set is a stopped one.
type timer struct {
	at  time.Duration // since New
	pos int           // in the heap, from 1 on; 0: stopped
	do  func()
}

// timers are the running ones, the next first.
type timers []*timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}
func (h *timers) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.pos = len(*h)
}
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.pos = 0
	return t
}

// set starts the timer, or moves it.
func (h *timers) set(t *timer, at time.Duration) {
	t.at = at
	if t.pos == 0 {
		heap.Push(h, t)
	} else {
		heap.Fix(h, t.pos-1)
	}
}

// stop stops the timer; one that does not run is fine.
func (h *timers) stop(t *timer) {
	if t.pos != 0 {
		heap.Remove(h, t.pos-1)
	}
}

// run does what was due at a time. What it starts meanwhile waits for the next
// call, even if it is due.
func (h *timers) run(now time.Duration) {
	for n := len(*h); n > 0 && len(*h) > 0 && (*h)[0].at <= now; n-- {
		heap.Pop(h).(*timer).do()
	}
}
