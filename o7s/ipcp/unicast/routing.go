// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"sync"
	"time"

	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/unicast/addr"
	"o7gw/o7s/ipcp/unicast/dt"
	"o7gw/o7s/ipcp/unicast/linkstate"
	"o7gw/o7s/ipcp/unicast/pff"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// routing drives the link-state machine: it gives it the time, the messages
// of management connections and the state of links, sends what it has to
// say, and fills the forwarding table from its routes.
//
// A link is a Data Transfer connection. There may be several to one neighbour,
// since both sides may connect to each other; the newest that works is used.
type routing struct {
	m     *member
	timer *timer

	mu        sync.Mutex
	closed    bool
	state     *linkstate.State             // guarded by mu, as is the rest
	peers     map[linkstate.Peer]*cep.Conn // management connections
	last      linkstate.Peer               // number of the newest
	links     map[uint64][]*link           // by neighbour, oldest first
	adjacent  map[uint64]bool              // neighbours that the machine knows to be linked
	moved     bool                         // links have changed since the table was filled
	routes    []linkstate.Route            // as computed last
	collision bool                         // reported
	out       map[linkstate.Peer]*outgoing // to be sent when mu is free
}

// outgoing is what is to be sent over a management connection.
type outgoing struct {
	conn *cep.Conn
	pkts []*packet.Buffer
}

func newRouting(m *member) *routing {
	cfg, _ := linkStateConfig(m.config.Unicast, m.self)
	r := &routing{
		m:        m,
		state:    linkstate.New(cfg),
		peers:    make(map[linkstate.Peer]*cep.Conn),
		links:    make(map[uint64][]*link),
		adjacent: make(map[uint64]bool),
		out:      make(map[linkstate.Peer]*outgoing),
	}
	r.timer = startTimer(func() { r.do(r.state.Tick) })
	r.do(func(time.Time) {})
	return r
}

// do gives the machine an input and then does what it wants done. Nothing is
// sent under mu: a packet may run to its end, and an answer come back, in this
// goroutine.
func (r *routing) do(input func(now time.Time)) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	input(time.Now())
	changed := false
	r.state.Drain(r.queueLocked, func(routes []linkstate.Route) {
		r.routes, changed = cloneRoutes(routes), true
	})
	if changed = changed || r.moved; changed {
		r.forwardLocked()
		r.moved = false
	}
	r.timer.set(r.state.Deadline())
	if c := r.state.Collision(); c && !r.collision {
		r.m.ipcp.Log().Error("another member has the address of this one; destroy this IPCP and enroll again", "address", addr.Text(r.m.self))
		r.collision = c
	}
	var out []*outgoing
	for p, o := range r.out {
		out = append(out, o)
		delete(r.out, p)
	}
	r.mu.Unlock()
	for _, o := range out {
		o.conn.Send(o.pkts)
	}
	if changed {
		r.m.routesChanged()
	}
}

// queueLocked notes a message to a management peer.
func (r *routing) queueLocked(p linkstate.Peer, msg []byte) {
	conn := r.peers[p]
	if conn == nil {
		return
	}
	o := r.out[p]
	if o == nil {
		o = &outgoing{conn: conn}
		r.out[p] = o
	}
	b := packet.Get(len(msg))
	b.Append(msg)
	b.SetCube(uint8(qos.VoiceCube)) // routes must not wait behind what they are for
	o.pkts = append(o.pkts, b)
}

func cloneRoutes(routes []linkstate.Route) []linkstate.Route {
	n := 0
	for _, r := range routes {
		n += len(r.Next)
	}
	hops := make([]uint64, 0, n)
	list := make([]linkstate.Route, len(routes))
	for i, r := range routes {
		at := len(hops)
		hops = append(hops, r.Next...)
		list[i] = linkstate.Route{Dst: r.Dst, Next: hops[at:len(hops):len(hops)]}
	}
	return list
}

// forwardLocked fills the forwarding table: neighbours by their links. A
// neighbour without a link that works is left out (spec 20 §8.7).
func (r *routing) forwardLocked() {
	table := make([]pff.Route[*dt.Neighbour], 0, len(r.routes))
	for _, route := range r.routes {
		var hops []*dt.Neighbour
		for _, next := range route.Next {
			if l := r.bestLocked(next); l != nil {
				hops = append(hops, l.at)
			}
		}
		if len(hops) > 0 {
			table = append(table, pff.Route[*dt.Neighbour]{Dst: route.Dst, Hops: hops})
		}
	}
	r.m.dt.Table().Set(table)
}

// destinations returns the addresses to which there is a route.
func (r *routing) destinations() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]uint64, len(r.routes))
	for i, route := range r.routes {
		list[i] = route.Dst
	}
	return list
}

// neighbours returns the addresses to which there is a link that works.
func (r *routing) neighbours() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []uint64
	for a := range r.links {
		if r.bestLocked(a) != nil {
			list = append(list, a)
		}
	}
	return list
}

// knows reports whether the address occurs in the layer.
func (r *routing) knows(a uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Knows(a)
}

func (r *routing) close() {
	r.mu.Lock()
	r.closed = true
	for _, links := range r.links {
		for _, l := range links {
			l.stopWaitingLocked()
		}
	}
	r.mu.Unlock()
	r.timer.close()
}
