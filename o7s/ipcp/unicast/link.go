// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"math"
	"slices"
	"time"

	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/unicast/addr"
	"o7gw/o7s/ipcp/unicast/dt"
	"o7gw/o7s/layer"
)

// attachDelay is how long a prototype may take to read from a new flow; what
// comes before that stays in its queue (spec 20 §4.1, DT-2, LS-18).
const attachDelay = 100 * time.Millisecond

// link is a Data Transfer connection:
//
//	new ──attached──▶ usable ◀──Down, Up──▶ down
//	        any ──Closed──▶ gone
type link struct {
	conn *cep.Conn
	addr uint64
	at   *dt.Neighbour // nil until dt knows it

	ready bool        // the neighbour reads it
	wait  *time.Timer // until then; nil for a neighbour of ours
	down  bool
	gone  bool
}

func (l *link) usable() bool { return l.at != nil && l.ready && !l.down && !l.gone }

func (l *link) stopWaitingLocked() {
	if l.wait != nil {
		l.wait.Stop()
	}
}

// acceptDataTransfer takes a new Data Transfer connection, from either side.
func (p *IPCP) acceptDataTransfer(c *cep.Conn) {
	if m := p.memberFor(c); m != nil {
		if c.Ours() {
			m.fa.Ours(c.Peer().Address)
		}
		m.routing.addLink(c)
	}
}

// memberFor returns the member if it is to take the connection, which is
// closed otherwise: a neighbour with no address, or with ours, cannot be
// one (spec 20 §4.1).
func (p *IPCP) memberFor(c *cep.Conn) *member {
	m := p.member.Load()
	a := c.Peer().Address
	switch {
	case m == nil:
	case a == 0, a > math.MaxUint32:
		p.Log().Warn("neighbour has an impossible address", "name", c.Dst(), "address", a)
	case a == m.self:
		p.Log().Error("neighbour has the address of this member; bootstrap or enroll one of them again", "name", c.Dst(), "address", addr.Text(a))
	default:
		return m
	}
	c.Close()
	return nil
}

func (r *routing) addLink(c *cep.Conn) {
	l := &link{conn: c, addr: c.Peer().Address, ready: c.Ours()}
	// It receives at once; events may come before Add has returned.
	at := r.m.dt.Add(l.addr, c, c.QoS(), func(e layer.Event) { r.linkEvent(l, e) })
	added := false
	r.do(func(now time.Time) {
		added = true
		l.at = at
		r.links[l.addr] = append(r.links[l.addr], l)
		if !l.ready {
			l.wait = time.AfterFunc(attachDelay, func() {
				r.do(func(now time.Time) {
					l.ready = true
					r.changedLocked(now, l)
				})
			})
		}
		r.changedLocked(now, l)
	})
	if !added { // closing
		r.m.dt.Remove(at)
		c.Close()
	}
}

// linkEvent takes an event of the flow below.
func (r *routing) linkEvent(l *link, e layer.Event) {
	r.do(func(now time.Time) {
		switch e {
		case layer.Down, layer.Up:
			l.down = e == layer.Down
		case layer.Closed:
			l.gone = true
		}
		if l.at != nil { // else addLink will look
			r.changedLocked(now, l)
		}
	})
	if e == layer.Closed {
		l.conn.Close()
	}
}

// changedLocked tells those who care about the state of a link: the forwarding
// table, and the state machine when the neighbour is lost or found.
func (r *routing) changedLocked(now time.Time, l *link) {
	r.m.dt.Table().SetDown(l.at, !l.usable())
	if l.gone {
		l.stopWaitingLocked()
		r.links[l.addr] = slices.DeleteFunc(r.links[l.addr], func(o *link) bool { return o == l })
		r.m.dt.Remove(l.at)
	}
	switch usable := r.bestLocked(l.addr) != nil; {
	case usable && !r.adjacent[l.addr]:
		r.adjacent[l.addr] = true
		r.state.LinkUp(now, l.addr)
	case !usable && r.adjacent[l.addr]:
		delete(r.adjacent, l.addr)
		r.state.LinkDown(now, l.addr)
	}
	if len(r.links[l.addr]) == 0 {
		delete(r.links, l.addr)
	}
	r.moved = true
}

// bestLocked returns the newest usable link to a neighbour, nil if there is none.
func (r *routing) bestLocked(a uint64) *link {
	for _, l := range slices.Backward(r.links[a]) {
		if l.usable() {
			return l
		}
	}
	return nil
}
