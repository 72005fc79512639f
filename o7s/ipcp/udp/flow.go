// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
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
	peer peer
	eid  uint32 // ours; set by flowTable.add
	cube qos.Cube
	next atomic.Pointer[flow] // in the bucket of the flow table

	state  atomic.Int32
	remote atomic.Uint32 // EID at the peer; valid once up
	caps   atomic.Uint32 // layer.Caps of the peer
	in     layer.Inbox
	answer chan reply // requester only: room for the one reply
}

var (
	_ layer.Port      = (*flow)(nil)
	_ layer.PeerAware = (*flow)(nil)
	_ layer.Queuer    = (*flow)(nil)
)

// remoteEnd returns the other end.
func (f *flow) remoteEnd() remote { return remote{f.peer.at, f.remote.Load()} }

// claim makes the flow, which is up, the only one to its other end.
func (f *flow) claim() {
	if old := f.ipcp.flows.claim(f); old != nil && old != f {
		f.ipcp.Log().Debug("peer gave the endpoint of a flow to a new one", "peer", f.peer.at.String())
		f.ipcp.stats.superseded.Add(1)
		old.end()
	}
}

// newFlow makes a flow in state pending and finds an EID for it. The peer is
// known before the EID is (UDP-7, UDP-8).
func (p *IPCP) newFlow(at endpoint, spec qos.Spec) *flow {
	f := &flow{ipcp: p, cube: spec.Cube()}
	f.peer.init(at)
	return f
}

// Send implements layer.Port.
func (f *flow) Send(pkts []*packet.Buffer) {
	if f.state.Load() != up {
		f.ipcp.stats.notUp.Add(uint64(len(pkts)))
		release(pkts)
		return
	}
	eid, mtu := f.remote.Load(), f.ipcp.mtu
	for start := 0; start < len(pkts); {
		i := start
		for ; i < len(pkts) && pkts[i].Len() <= mtu; i++ {
			binary.BigEndian.PutUint32(pkts[i].Prepend(eidLen), eid)
		}
		f.ipcp.out.Enqueue(&f.peer, f.cube, pkts[start:i])
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
		f.ipcp.send(&f.peer, f.cube, teardown{peerEID: f.eid, eid: f.remote.Load()}.append)
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
