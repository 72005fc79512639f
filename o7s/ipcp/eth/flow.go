// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// The states of a flow:
//
//	requester: pending ──reply 0──▶ up ──Close, end──▶ ended
//	              └──refusal, give up──▶ ended
//	responder: up ──Close, end──▶ ended
const (
	pending int32 = iota
	up
	ended
)

// flow is one end of a flow, and its layer.Port. The fields without a comment
// are set before the flow is findable and never change.
type flow struct {
	ipcp *IPCP
	peer mac
	eid  uint16 // ours; set by flowTable.add
	cube qos.Cube
	head [maxHeader]byte // of frames to the peer; set before the flow is up

	state  atomic.Int32
	remote atomic.Uint32 // endpoint at the peer; valid once up
	caps   atomic.Uint32 // layer.Caps of the peer
	in     layer.Inbox
	answer chan reply // requester only: room for the one reply
}

var (
	_ layer.Port      = (*flow)(nil)
	_ layer.PeerAware = (*flow)(nil)
	_ layer.Queuer    = (*flow)(nil)
)

// newFlow makes a flow in state pending. The peer is known before the endpoint
// is (ETH-16).
func (p *IPCP) newFlow(at mac, spec qos.Spec) *flow {
	return &flow{ipcp: p, peer: at, cube: spec.Cube()}
}

// aim sets where frames of the flow go. The flow is not up yet, but has its
// endpoint.
func (f *flow) aim(remote uint16) {
	f.remote.Store(uint32(remote))
	f.ipcp.framing.head(f.head[:], f.peer, *f.ipcp.self.Load(), remote, f.eid)
}

// remoteEnd returns the other end.
func (f *flow) remoteEnd() remote { return remote{f.peer, uint16(f.remote.Load())} }

// claim makes the flow, which is up, the only one to its other end, and tells
// it the state of the device.
func (f *flow) claim() {
	if old := f.ipcp.flows.claim(f); old != nil && old != f {
		f.ipcp.Log().Debug("peer gave the endpoint of a flow to a new one", "peer", f.peer.String())
		f.ipcp.stats.superseded.Add(1)
		old.end()
	}
	if !f.ipcp.linked.Load() {
		f.tell(false)
	}
}

// tell reports the state of the device to the user of the flow. Of two
// goroutines that do, the last one reports the latest state.
func (f *flow) tell(linked bool) {
	for {
		e := layer.Down
		if linked {
			e = layer.Up
		}
		f.in.Notify(e)
		now := f.ipcp.linked.Load()
		if now == linked {
			return
		}
		linked = now
	}
}

// Send implements layer.Port.
func (f *flow) Send(pkts []*packet.Buffer) {
	if f.state.Load() != up {
		f.ipcp.stats.notUp.Add(uint64(len(pkts)))
		release(pkts)
		return
	}
	fr, mtu := f.ipcp.framing, f.ipcp.mtu
	n := fr.headerLen()
	for start := 0; start < len(pkts); {
		i := start
		for ; i < len(pkts); i++ {
			l := pkts[i].Len()
			if l > mtu {
				break
			}
			h := pkts[i].Prepend(n)
			copy(h, f.head[:])
			fr.setLen(h, l)
		}
		f.ipcp.out.Enqueue(nil, f.cube, pkts[start:i])
		if i < len(pkts) {
			f.ipcp.stats.tooLong.Add(1)
			pkts[i].Release()
		}
		start = i + 1
	}
}

// Receive implements layer.Port.
func (f *flow) Receive(r layer.Receiver) { f.in.Receive(r) }

// Backlog implements layer.Backlogger.
func (f *flow) Backlog() int { return f.ipcp.unread.Packets() }

// Queued implements layer.Queuer.
func (f *flow) Queued() int { return f.ipcp.out.Queued(f.cube) }

// MTU implements layer.Port.
func (f *flow) MTU() int { return f.ipcp.mtu }

// SetPeerCaps implements layer.PeerAware.
func (f *flow) SetPeerCaps(c layer.Caps) { f.caps.Store(uint32(c)) }

// Close implements layer.Port. A peer that understands it is told.
func (f *flow) Close() error {
	f.shut()
	f.in.Close()
	return nil
}

// shut ends the flow toward the network, and reports whether it had not ended
// before.
func (f *flow) shut() bool {
	was := f.state.Swap(ended)
	if was == ended {
		return false
	}
	f.ipcp.flows.remove(f, time.Now())
	if was == up && layer.Caps(f.caps.Load())&layer.CapTeardown != 0 {
		// Behind the data of the flow, in the same queue.
		f.ipcp.send(f.peer, f.cube, teardown{peerEID: f.eid, eid: uint16(f.remote.Load())})
	}
	return true
}

// end ends the flow since it has ended at the peer already, which is not told.
func (f *flow) end() {
	if f.state.Swap(ended) != ended { // else we were first
		f.ipcp.flows.remove(f, time.Now())
		f.in.Notify(layer.Closed)
	}
}

// release releases buffers whose slice belongs to somebody else.
func release(pkts []*packet.Buffer) {
	for _, b := range pkts {
		b.Release()
	}
}
