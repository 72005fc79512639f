// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"sync"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// bridge joins the port of a flow with the ring to the application that uses
// it:
//
//	layer ──net.Receive──▶ app.Send ──▶ ring ──▶ application
//	layer ◀──net.Send── app.Receive ◀── ring ◀── application
//
// Each batch runs to completion in the goroutine that brings it: the layer's,
// or that of the connection's poller. Neither side blocks; what does not fit
// into a full ring, or the layer's queue, is dropped and counted there. A flow that is
// paced leaves packets in the ring, so that the application waits.
type bridge struct {
	end      *ring.End
	app, net layer.Port
	once     sync.Once
	onEnd    func() // called once, by close
	// ended is closed when the flow has ended, from whichever side; all that
	// the application wrote before has gone to the layer.
	ended chan struct{}
}

// newBridge takes over both sides. onEnd is called when the flow has ended, in the
// goroutine that found out; it may call close.
func newBridge(end *ring.End, p *ring.Poller, net layer.Port, onEnd func()) *bridge {
	app := ring.NewPort(end, p)
	if pacer, ok := net.(layer.Pacer); ok {
		app.Pace(pacer)
	}
	b := &bridge{end: end, app: app, net: net, onEnd: onEnd, ended: make(chan struct{})}
	// The application cannot have sent yet, but the network may have: what it
	// sent goes first into the ring.
	net.Receive((*fromNet)(b))
	b.app.Receive((*fromApp)(b))
	return b
}

// close ends the flow on both sides. Idempotent, also from within receivers.
func (b *bridge) close() {
	b.net.Close()
	b.app.Close()
	first := false
	b.once.Do(func() {
		close(b.ended)
		first = true
	})
	if first {
		b.onEnd()
	}
}

// drained reports whether nothing that the application wrote is left in the
// ring.
func (b *bridge) drained() bool { return b.over() || !b.end.Readable() }

// over reports whether the flow has ended.
func (b *bridge) over() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

// fromNet receives from the layer.
type fromNet bridge

func (b *fromNet) Packets(pkts []*packet.Buffer) { b.app.Send(pkts) }

func (b *fromNet) Event(e layer.Event) {
	switch e {
	case layer.Down, layer.Up:
		b.end.SetDown(e == layer.Down)
	case layer.Closed:
		// The application reads what is in the ring, then the end.
		(*bridge)(b).close()
	}
}

// fromApp receives from the application.
type fromApp bridge

func (b *fromApp) Packets(pkts []*packet.Buffer) { b.net.Send(pkts) }

func (b *fromApp) Event(e layer.Event) {
	if e == layer.Closed { // by Close, or by the death of the process
		(*bridge)(b).close()
	}
}
