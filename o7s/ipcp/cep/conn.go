// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Conn is a connection between a component and its like in another member. It
// is the port of the flow below, behind the CEP messages.
//
//	new ──first packet: peer's message──▶ greeted ──Receive──▶ in use
//	       any ──Close, Closed from below──▶ ended
type Conn struct {
	flow      ipcp.Flow
	dst       string // empty: accepted
	component string
	made      time.Time
	peer      Info // set before the component gets the connection
	number    uint64

	greeted atomic.Bool
	hello   chan []byte // the peer's message; has room for it
	in      layer.Inbox
	done    chan struct{} // closed when the connection has ended
	ended   atomic.Bool
	onEnd   func(*Conn)
}

var (
	_ layer.Port   = (*Conn)(nil)
	_ layer.Queuer = (*Conn)(nil)
)

// newConn begins to receive from a flow. onEnd is called once.
func newConn(f ipcp.Flow, component, dst string, onEnd func(*Conn)) *Conn {
	c := &Conn{
		flow: f, dst: dst, component: component, made: time.Now(),
		hello: make(chan []byte, 1), done: make(chan struct{}), onEnd: onEnd,
	}
	f.Receive((*below)(c))
	return c
}

// Peer returns what the peer said of itself.
func (c *Conn) Peer() Info { return c.peer }

// Ours reports whether the peer announced extensions; it is no prototype.
func (c *Conn) Ours() bool { return c.peer.Ours }

// Dst returns the name that was connected to, empty if the peer connected.
func (c *Conn) Dst() string { return c.dst }

// Initiated reports whether this side asked for the connection.
func (c *Conn) Initiated() bool { return c.dst != "" }

// QoS returns what was asked of the flow below.
func (c *Conn) QoS() qos.Spec { return c.flow.QoS() }

// Send implements layer.Port.
func (c *Conn) Send(pkts []*packet.Buffer) { c.flow.Send(pkts) }

// Receive implements layer.Port.
func (c *Conn) Receive(r layer.Receiver) { c.in.Receive(r) }

// MTU implements layer.Port.
func (c *Conn) MTU() int { return c.flow.MTU() }

// Queued implements layer.Queuer: 0 if the flow below does not know.
func (c *Conn) Queued() int {
	if q, ok := c.flow.(layer.Queuer); ok {
		return q.Queued()
	}
	return 0
}

// SetLiveness replaces the keepalives and the peer timeout of the flow below, see
// ipcp.Flow.
func (c *Conn) SetLiveness(interval, timeout time.Duration) { c.flow.SetLiveness(interval, timeout) }

// Close implements layer.Port. A connection that Connect made is made again;
// Disconnect ends it for good.
func (c *Conn) Close() error {
	c.end()
	c.in.Close()
	return c.flow.Close()
}

func (c *Conn) end() {
	if !c.ended.Swap(true) {
		close(c.done)
		c.onEnd(c)
	}
}

// say sends a CEP message.
func (c *Conn) say(i Info) {
	b := packet.Get(MaxMessage)
	b.Append(i.Append(nil))
	c.flow.Send([]*packet.Buffer{b})
}

// below receives from the flow below.
type below Conn

// Packets takes the peer's message off the front, once.
func (b *below) Packets(pkts []*packet.Buffer) {
	c := (*Conn)(b)
	if c.greeted.Load() {
		c.in.Deliver(pkts)
		return
	}
	first := pkts[0]
	c.hello <- append([]byte(nil), first.Bytes()[:min(first.Len(), MaxMessage+1)]...)
	first.Release()
	c.greeted.Store(true)
	c.in.Deliver(pkts[1:])
}

// Event passes on what happens to the flow.
func (b *below) Event(e layer.Event) {
	c := (*Conn)(b)
	c.in.Notify(e)
	if e == layer.Closed {
		c.end()
	}
}
