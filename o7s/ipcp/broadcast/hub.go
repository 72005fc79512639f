// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// maxPacket is the longest packet, in bytes, that a prototype forwards as it
// is (spec 10 §9.2, BC-2).
const maxPacket = 1399

// hub is the list of neighbours: other members of the layer, and applications
// of this node that have joined (spec 10 §9.2).
type hub struct {
	log  *slog.Logger
	seen *repeats
	list atomic.Pointer[neighbours] // never nil; copied for each change

	mu     sync.Mutex
	last   uint32 // id of the newest neighbour; guarded by mu, as is closed
	closed bool
}

// neighbours is a list that does not change.
type neighbours struct {
	all     []*neighbour // in order of addition
	members int          // how many are other members
}

func newHub(log *slog.Logger) *hub {
	h := &hub{log: log, seen: newRepeats()}
	h.list.Store(new(neighbours))
	return h
}

// neighbour is one of those who send and receive.
type neighbour struct {
	hub   *hub
	id    uint32 // never 0, and not that of an earlier neighbour
	name  string // for lists and logs
	since time.Time

	out    sender
	member bool // else an application of this node
	ours   bool // a member that is not a prototype

	stats  counters
	warned atomic.Bool // of a cycle
}

// sender is where packets to a neighbour go.
type sender interface {
	Send(pkts []*packet.Buffer)
	MTU() int
}

// add makes a neighbour. From now on it is sent what others send. It reports
// false when the hub is closed.
func (h *hub) add(n *neighbour) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.last++
	n.hub, n.id, n.since = h, h.last, time.Now()
	h.storeLocked(append(slices.Clone(h.list.Load().all), n))
	return true
}

// remove ends that. It reports whether the neighbour was there.
func (h *hub) remove(n *neighbour) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.list.Load().all
	i := slices.Index(old, n)
	if i < 0 {
		return false
	}
	h.storeLocked(slices.Delete(slices.Clone(old), i, i+1))
	return true
}

func (h *hub) storeLocked(all []*neighbour) {
	l := &neighbours{all: all}
	for _, n := range all {
		if n.member {
			l.members++
		}
	}
	h.list.Store(l)
}

// close removes all neighbours and takes no others. It returns those that
// there were.
func (h *hub) close() []*neighbour {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.list.Load().all
	h.closed = true
	h.list.Store(new(neighbours))
	return all
}

// mtu is the longest packet that an application may send: more than a
// prototype takes only if all members around are ours and carry it.
func (h *hub) mtu() int {
	l := h.list.Load()
	if l.members == 0 {
		return maxPacket
	}
	m := packet.MaxPayload
	for _, n := range l.all {
		if n.member {
			m = min(m, n.limit())
		}
	}
	return m
}

// limit is the longest packet that may be sent to the neighbour.
func (n *neighbour) limit() int {
	m := n.out.MTU()
	if n.member && !n.ours {
		m = min(m, maxPacket)
	}
	return m
}

// Packets takes what another member has sent.
func (n *neighbour) Packets(pkts []*packet.Buffer) { n.hub.forward(n, pkts) }

// link is a Data Transfer connection to another member.
type link interface {
	layer.Port
	Dst() string
	Ours() bool
}

// attach makes a connection a neighbour until it ends.
func (h *hub) attach(c link) {
	name := c.Dst()
	if name == "" {
		name = accepted
	}
	n := &neighbour{name: name, out: c, member: true, ours: c.Ours()}
	if !h.add(n) {
		c.Close()
		return
	}
	h.log.Debug("neighbour added", "name", name, "ours", n.ours)
	c.Receive(&linkReceiver{n, c})
}

// accepted stands for the name of members that have connected to this one:
// they do not say theirs.
const accepted = "(accepted)"

// linkReceiver receives from a connection.
type linkReceiver struct {
	*neighbour
	conn link
}

// Event removes a dead neighbour; who connected to it will try again.
func (r *linkReceiver) Event(e layer.Event) {
	if e == layer.Closed && r.hub.remove(r.neighbour) {
		r.hub.log.Debug("neighbour removed", "name", r.name)
		r.conn.Close()
	}
}
