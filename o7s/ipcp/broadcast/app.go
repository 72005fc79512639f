// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"sync/atomic"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// app is the port of an application of this node that has joined the layer.
type app struct {
	*neighbour
	in     layer.Inbox
	closed atomic.Bool
}

var _ layer.Port = (*app)(nil)

// join makes an application a neighbour.
func (h *hub) join() (layer.Port, error) {
	a := &app{}
	a.neighbour = &neighbour{name: "application", out: (*appSender)(a)}
	if !h.add(a.neighbour) {
		return nil, layer.ErrIPCPState
	}
	return a, nil
}

// Send gives packets to all others. What a neighbour does not carry, it drops
// and counts.
func (a *app) Send(pkts []*packet.Buffer) {
	if a.closed.Load() {
		packet.ReleaseBatch(pkts)
		return
	}
	a.hub.forward(a.neighbour, pkts)
}

// Receive implements layer.Port.
func (a *app) Receive(r layer.Receiver) { a.in.Receive(r) }

// MTU is 1399, which every member forwards, as long as there are prototypes
// or no other members around; else that of the connections. It is
// no promise for members further away (docs/extensions.md §9).
func (a *app) MTU() int { return a.hub.mtu() }

// Close leaves the layer.
func (a *app) Close() error {
	if !a.closed.Swap(true) {
		a.hub.remove(a.neighbour)
		a.in.Close()
	}
	return nil
}

// appSender is the application as others send to it.
type appSender app

var _ sender = (*appSender)(nil)

// Send delivers packets. A slow application loses some, and holds up nobody.
func (s *appSender) Send(pkts []*packet.Buffer) { s.in.Deliver(pkts) }

// MTU implements sender: an application takes everything.
func (s *appSender) MTU() int { return packet.MaxPayload }
