// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp/unicast/addr"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// hintInterval is how often a log line may say that packets are too long for a
// neighbour.
const hintInterval = time.Hour

// Neighbour is a member to which there is a port. It is the receiver of that port.
type Neighbour struct {
	dt     *DT
	addr   uint64
	port   layer.Port
	queuer layer.Queuer     // the port, if it is one
	unread layer.Backlogger // likewise
	qos    qos.Spec
	number int // in the statistics
	event  func(layer.Event)
	since  time.Time

	removed atomic.Bool
	hinted  atomic.Int64 // ns from since to the last hint; 0: there was none
	stats   counters
	in      ingress
}

// Addr returns the neighbour's address.
func (n *Neighbour) Addr() uint64 { return n.addr }

// QoS returns what the port's flow was asked for.
func (n *Neighbour) QoS() qos.Spec { return n.qos }

// Packets takes what the neighbour sent; the port calls it.
func (n *Neighbour) Packets(pkts []*packet.Buffer) {
	if n.removed.Load() {
		packet.ReleaseBatch(pkts)
		return
	}
	n.in.batch(pkts)
}

// Event passes on a change of the flow; the port calls it.
func (n *Neighbour) Event(e layer.Event) {
	if !n.removed.Load() && n.event != nil {
		n.event(e)
	}
}

// queued returns how many packets wait in front of the port.
func (n *Neighbour) queued() int {
	if n.queuer == nil {
		return 0
	}
	return n.queuer.Queued()
}

// backlog returns how many packets wait to be read from the port.
func (n *Neighbour) backlog() int {
	if n.unread == nil {
		return 0
	}
	return n.unread.Backlog()
}

// transmit gives tallied packets with headers to the port. The buffers are
// gone, the tally is zero after it.
func (n *Neighbour) transmit(pkts []*packet.Buffer, t *tally) {
	if len(pkts) == 0 {
		return
	}
	if n.removed.Load() { // the caller looked it up before
		n.stats.failed.add(t)
		packet.ReleaseBatch(pkts)
		return
	}
	n.stats.sent.add(t)
	n.port.Send(pkts)
}

// oversize counts a packet of size bytes that the port cannot carry.
func (n *Neighbour) oversize(cube uint8, size, mtu int) {
	n.stats.tooLong.Add(1)
	n.stats.failed.one(cube, size)
	now, last := int64(time.Since(n.since)), n.hinted.Load()
	if last != 0 && now-last < int64(hintInterval) || !n.hinted.CompareAndSwap(last, now) {
		return
	}
	n.dt.log.Warn("packet is too long for the flow to the neighbour; make the layers below alike in their MTU, or the senders' packets smaller",
		"neighbour", addr.Text(n.addr), "size", size, "mtu", mtu)
}
