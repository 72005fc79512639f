// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"time"

	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/oep"
	"o7gw/o7s/ipcp/unicast/linkstate"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// acceptManagement takes a new Management connection, from either side.
func (p *IPCP) acceptManagement(c *cep.Conn) {
	if m := p.memberFor(c); m != nil {
		m.routing.addPeer(c)
	}
}

func (r *routing) addPeer(c *cep.Conn) {
	var id linkstate.Peer
	r.do(func(now time.Time) {
		r.last++
		id = r.last
		r.peers[id] = c
		caps := c.Peer().Caps
		r.state.AddPeer(now, id, c.Peer().Address, linkstate.Caps{Batch: caps&cep.CapLSBatch != 0, Withdraw: caps&cep.CapWithdraw != 0})
	})
	if id == 0 { // closing
		c.Close()
		return
	}
	c.Receive(&managementReceiver{r, id, c})
}

// managementReceiver receives from a Management connection.
type managementReceiver struct {
	r    *routing
	id   linkstate.Peer
	conn *cep.Conn
}

// Packets gives a batch of messages to the machine, under one lock.
func (m *managementReceiver) Packets(pkts []*packet.Buffer) {
	m.r.do(func(now time.Time) {
		for _, b := range pkts {
			m.r.state.Receive(now, m.id, b.Bytes())
		}
	})
	for _, b := range pkts {
		b.Release()
	}
}

// Event ends the adjacency when the flow below has ended.
func (m *managementReceiver) Event(e layer.Event) {
	if e != layer.Closed {
		return
	}
	m.r.do(func(now time.Time) {
		delete(m.r.peers, m.id)
		m.r.state.RemovePeer(now, m.id)
	})
	m.conn.Close()
}

// acceptEnrollment serves an enrollee (spec 20 §1.2).
func (p *IPCP) acceptEnrollment(c *cep.Conn) {
	m := p.member.Load()
	if m == nil || c.Initiated() { // we are the enrollee
		return
	}
	oep.Serve(p.Context(), c, oep.Member{
		Membership: m.membership, Taken: m.taken, Now: time.Now, Log: p.Log(),
	})
}
