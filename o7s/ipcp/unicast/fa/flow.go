// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// The states of a flow:
//
//	requester: pending ──reply 0──▶ up ──Close──▶ closing ──queue empty──▶ ended
//	responder: up ──…
//	pending ──refusal, give up──▶ ended
//	up, closing ──notice of the peer, end of the layer──▶ ended
const (
	pending int32 = iota
	up
	closing // the user has gone; what he sent still leaves
	ended
)

// flow is one end of a flow, and its layer.Port. The fields without a comment
// are set before the flow is findable and never change.
type flow struct {
	fa    *FA
	addr  uint64 // of the peer
	eid   uint64 // ours; set by flowTable.add
	cube  qos.Cube
	since time.Time

	state  atomic.Int32
	remote atomic.Uint64 // EID at the peer; noEID until it is known
	caps   atomic.Uint32 // layer.Caps of the peer
	reach  reach
	in     layer.Inbox
	answer chan reply // requester only: room for the one reply

	sent, sendFailed, received, recvFailed traffic
	updates                                struct{ sent, received atomic.Uint64 }
	dropped                                struct{ full, tooLong atomic.Uint64 }

	marked atomic.Bool // congestion was met: each packet that arrives counts
	recvMu sync.Mutex
	level  ca.Receiver // guarded by recvMu

	mu sync.Mutex
	pacer
}

var (
	_ layer.Port      = (*flow)(nil)
	_ layer.PeerAware = (*flow)(nil)
	_ layer.Pacer     = (*flow)(nil)
)

// newFlow makes a flow in state pending, to a member.
func (a *FA) newFlow(addr uint64, spec qos.Spec) *flow {
	f := &flow{fa: a, addr: addr, cube: spec.Cube(), since: time.Now()}
	f.remote.Store(noEID)
	var c ca.Flow
	c.Init(a.cfg.CA, a.now())
	f.ca, f.level = c.Sender, c.Receiver
	return f
}

// Receive implements layer.Port.
func (f *flow) Receive(r layer.Receiver) { f.in.Receive(r) }

// MTU implements layer.Port.
func (f *flow) MTU() int { return f.fa.cfg.Net.MTU() }

// SetPeerCaps implements layer.PeerAware.
func (f *flow) SetPeerCaps(c layer.Caps) {
	f.caps.Store(uint32(c))
	if c != 0 {
		f.fa.members.add(f.addr)
	}
}

// Close implements layer.Port. What was sent before still leaves, at the
// flow's rate; then a peer that understands it is told.
func (f *flow) Close() error {
	f.in.Close()
	f.mu.Lock()
	if f.state.CompareAndSwap(up, closing) {
		f.until = f.fa.now() + maxLinger
	}
	f.drainLocked()
	return nil
}

// finish takes a flow that has just ended out of the table, and tells the
// peer where it understands it.
func (f *flow) finish() {
	f.fa.flows.remove(f, time.Now())
	if layer.Caps(f.caps.Load())&layer.CapTeardown == 0 || !validEID(f.remote.Load()) {
		return
	}
	f.fa.notify(f.addr, f.cube, teardown{f.fa.cfg.Self, f.remote.Load(), f.eid})
}

// end ends the flow since it has ended at the peer already, which is not told,
// and reports whether it had not ended before.
func (f *flow) end() bool {
	f.mu.Lock()
	if f.state.Swap(ended) == ended {
		f.mu.Unlock()
		return false
	}
	waiting := f.stopLocked()
	resume := f.resumableLocked()
	f.mu.Unlock()
	packet.ReleaseBatch(waiting)
	if resume != nil {
		resume()
	}
	f.fa.flows.remove(f, time.Now())
	f.in.Notify(layer.Closed)
	return true
}

// abort ends the flow since the layer ends.
func (f *flow) abort() {
	if f.end() {
		f.finish()
	}
}
