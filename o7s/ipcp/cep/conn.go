// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"bytes"
	"sync"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Conn is a connection between a component and its like in another member. It
// is the port of the flow below, behind the CEP messages: what follows them is
// kept until Receive. The receiver hears layer.Closed when the flow has
// ended, and when the manager ends it; not after its own Close.
type Conn struct {
	flow   ipcp.Flow
	dst    string // empty: accepted
	number uint64

	// Set before the component gets the connection.
	component string
	made      time.Time
	peer      Info

	counted string // the component in whose number it is; guarded by the manager's mu

	// Touched by calls of the flow alone, which come one at a time.
	phase phase
	first []byte // the peer's message

	hello chan []byte // it has room for that message
	in    layer.Inbox
	done  chan struct{} // closed when the connection has ended
	once  sync.Once     // of end
	onEnd func(*Conn)
}

// phase is how far the peer's side of a flow has come:
//
//	greeting ──first packet──▶ young ──another packet──▶ running
type phase uint8

const (
	greeting phase = iota
	young          // copies of the message may follow, where the layer below makes such
	running
)

var (
	_ layer.Port   = (*Conn)(nil)
	_ layer.Queuer = (*Conn)(nil)
)

// newConn begins to receive from a flow. onEnd is called once.
func newConn(f ipcp.Flow, dst string, onEnd func(*Conn)) *Conn {
	c := &Conn{
		flow: f, dst: dst,
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

// Backlog implements layer.Backlogger: 0 if the flow below does not know.
func (c *Conn) Backlog() int {
	if b, ok := c.flow.(layer.Backlogger); ok {
		return b.Backlog()
	}
	return 0
}

// Queued implements layer.Queuer: 0 if the flow below does not know.
func (c *Conn) Queued() int {
	if q, ok := c.flow.(layer.Queuer); ok {
		return q.Queued()
	}
	return 0
}

// SetLiveness replaces the limits of the flow below: it sends a keepalive after
// interval without sending, and ends after timeout without arrival. 0 and 0
// mean neither.
func (c *Conn) SetLiveness(interval, timeout time.Duration) { c.flow.SetLiveness(interval, timeout) }

// Close implements layer.Port. A connection that Connect made is made again;
// Disconnect ends it for good.
func (c *Conn) Close() error {
	c.in.Close()
	return c.end()
}

// hangUp ends the connection, and its receiver hears of it.
func (c *Conn) hangUp() {
	c.end()
	c.in.Notify(layer.Closed)
}

// end gives back the flow.
func (c *Conn) end() (err error) {
	c.once.Do(func() {
		close(c.done)
		c.onEnd(c)
		err = c.flow.Close()
	})
	return err
}

// say sends a CEP message.
func (c *Conn) say(i Info) {
	b := packet.Get(MaxMessage)
	b.Append(i.Append(nil))
	c.flow.Send([]*packet.Buffer{b})
}

// below receives from the flow below.
type below Conn

// Packets implements layer.Receiver.
func (b *below) Packets(pkts []*packet.Buffer) {
	c := (*Conn)(b)
	if c.phase != running {
		pkts = c.begin(pkts)
	}
	c.in.Deliver(pkts)
}

// Event implements layer.Receiver.
func (b *below) Event(e layer.Event) {
	c := (*Conn)(b)
	if e == layer.Closed {
		c.hangUp()
		return
	}
	c.in.Notify(e)
}

// begin takes the peer's message, and copies of it right behind, off the front
// of the packets, and returns the others. Such a copy is no packet of the
// component: a broadcast layer would carry it to all applications.
func (c *Conn) begin(pkts []*packet.Buffer) []*packet.Buffer {
	for i, b := range pkts {
		switch {
		case c.phase == greeting && b.Len() == 0: // a keepalive
		case c.phase == greeting:
			c.first = bytes.Clone(b.Bytes()[:min(b.Len(), MaxMessage+1)])
			c.phase = young
			c.hello <- c.first
		case !bytes.Equal(b.Bytes(), c.first):
			c.phase, c.first = running, nil
			return pkts[i:]
		}
		b.Release()
	}
	return nil
}
