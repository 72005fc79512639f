// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"sync/atomic"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// pusher stands between the lower end and the receiver of a flow in push
// mode: it takes the keepalives out, and makes the calls one at a time, since
// the peer timeout comes from another goroutine than the packets. No lock is
// held in a call: what a receiver does may well come back to it.
type pusher struct {
	in   layer.Inbox
	down atomic.Bool
}

// Receive hands all packets to r from now on, run to completion: on the
// goroutine of the layer, or that of the Host's poller for a ring. r sees no
// keepalives; the death of the peer is layer.Closed. Once. Calls that read
// fail with ErrPushed from now on. r may call Close, which then does not wait, but
// not close the Host. Other reliable flows it may close with SetLinger(0), or on
// another goroutine: their packets may come through the one that calls r.
func (f *Flow) Receive(r layer.Receiver) error {
	p := new(pusher)
	if !f.pusher.CompareAndSwap(nil, p) {
		return ErrPushed
	}
	f.set(pushing, true)
	f.low.wakeReaders()
	if f.closed.Load() {
		p.in.Close()
	}
	f.host.alone() // r may close a flow whose reader would be just calling it
	p.in.Receive(r)
	if err := f.low.push(p, f.host); err != nil {
		return err
	}
	if f.has(peerDead) { // before the pusher was there
		p.Event(layer.Closed)
	}
	return nil
}

// Packets takes packets of the lower end.
func (p *pusher) Packets(pkts []*packet.Buffer) { p.in.Deliver(withoutKeepalives(pkts)) }

// Event takes a change of the lower end.
func (p *pusher) Event(e layer.Event) {
	if e != layer.Closed {
		if down := e == layer.Down; p.down.Swap(down) == down {
			return
		}
	}
	p.in.Notify(e)
}
