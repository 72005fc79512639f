// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"container/heap"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/frcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/ring"
)

// Host serves the flows of a process with two goroutines, both started when
// they are needed first: one sends keepalives and watches the peer timeouts,
// one moves the packets of rings in push mode. Besides there is one for each reliable
// flow that was closed within its receiver, until it is done.
type Host struct {
	mu     sync.Mutex
	closed bool
	due    dueFlows
	wake   chan struct{} // nil: no goroutine yet
	quit   chan struct{}
	done   sync.WaitGroup
	poll   *ring.Poller
	pushes bool // there are receivers of users
	// orphans are flows that their users have closed and that may have something to
	// deliver yet, each with a goroutine.
	orphans map[*Flow]struct{}
	adopted sync.WaitGroup
	windows *frcp.Budget // of all flows
}

// NewHost returns a Host. Close ends it.
func NewHost() *Host {
	return &Host{quit: make(chan struct{}), orphans: make(map[*Flow]struct{}), windows: frcp.NewBudget(windowMemory())}
}

// windowShare is the part of the machine's memory that receive windows may grow to
// together, and leastWindows what they may on any, bytes.
const (
	windowShare  = 8
	leastWindows = 64 << 20
)

func windowMemory() int64 {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return leastWindows
	}
	return max(leastWindows, int64(s.Totalram)*int64(s.Unit)/windowShare)
}

// orphanTime is how long flows that were closed within their receivers may go on
// when the Host closes.
const orphanTime = 2 * time.Second

// adopt ends a flow in the stead of its user. It reports false if the Host is closed.
func (h *Host) adopt(f *Flow) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.orphans[f] = struct{}{}
	h.adopted.Go(func() {
		_ = f.end() // there is nobody to tell
		h.mu.Lock()
		delete(h.orphans, f)
		h.mu.Unlock()
	})
	return true
}

// Close ends the goroutines and waits for them. The flows should be closed
// before.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	poll := h.poll
	orphans := slices.Collect(maps.Keys(h.orphans))
	h.mu.Unlock()
	for _, f := range orphans {
		f.SetWriteDeadline(time.Now().Add(orphanTime))
	}
	h.adopted.Wait()
	close(h.quit)
	if poll != nil {
		poll.Close()
	}
	h.done.Wait()
	return nil
}

// poller returns the Poller of rings in push mode.
func (h *Host) poller() (*ring.Poller, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, net.ErrClosed
	}
	if h.poll == nil {
		p, err := ring.NewPoller()
		if err != nil {
			return nil, err
		}
		h.poll = p
		if h.pushes {
			p.Alone()
		}
	}
	return h.poll, nil
}

// alone keeps the calls of flows from doing the Poller's work.
func (h *Host) alone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pushes = true; h.poll != nil {
		h.poll.Alone()
	}
}

// watch checks flows when they are due.
func (h *Host) watch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if next, any := h.checkDue(time.Now()); any {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-h.wake:
		case <-h.quit:
			return
		}
	}
}

// checkDue checks all flows that are due and returns when the next one is.
func (h *Host) checkDue(now time.Time) (next time.Time, any bool) {
	for {
		h.mu.Lock()
		if len(h.due) == 0 || h.due[0].live.next.After(now) {
			if any = len(h.due) > 0; any {
				next = h.due[0].live.next
			}
			h.mu.Unlock()
			return next, any
		}
		f := h.due[0]
		keepalive, died := f.live.check(now, f.low.sent(), f.low.received())
		heap.Fix(&h.due, 0)
		h.mu.Unlock()
		if keepalive {
			f.low.keepalive()
		}
		if died {
			f.peerDied()
		}
	}
}

// peerDied marks the peer as dead and lets everybody know.
func (f *Flow) peerDied() {
	f.set(peerDead, true)
	f.low.wakeReaders()
	f.low.wakeWriters()
	if p := f.pusher.Load(); p != nil {
		p.Event(layer.Closed)
	}
	f.onPeer.changed()
}

// dueFlows is a heap of flows by the time of their next check.
type dueFlows []*Flow

func (d dueFlows) Len() int           { return len(d) }
func (d dueFlows) Less(i, j int) bool { return d[i].live.next.Before(d[j].live.next) }
func (d dueFlows) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].live.index, d[j].live.index = i, j
}

func (d *dueFlows) Push(x any) {
	f := x.(*Flow)
	f.live.queued, f.live.index = true, len(*d)
	*d = append(*d, f)
}

func (d *dueFlows) Pop() any {
	old := *d
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	f.live.queued = false
	return f
}
