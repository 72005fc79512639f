// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"sync"
	"sync/atomic"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// pusher stands between the lower end and the receiver of a flow in push
// mode: it takes the keepalives out, and makes the calls one at a time, since
// the peer timeout comes from another goroutine than the packets.
type pusher struct {
	to     layer.Receiver
	closed atomic.Bool // the flow was closed here

	mu   sync.Mutex // held in calls of to
	over bool
	down bool
}

// Receive hands all packets to r from now on, run to completion: on the
// goroutine of the layer, or that of the Host's poller for a ring. r sees no
// keepalives; the death of the peer is layer.Closed. Once. Calls that read
// fail with ErrPushed from now on. r may call Close, but not close the Host.
func (f *Flow) Receive(r layer.Receiver) error {
	p := &pusher{to: r}
	if !f.pusher.CompareAndSwap(nil, p) {
		return ErrPushed
	}
	f.set(pushing, true)
	f.low.wakeReaders()
	if f.closed.Load() {
		p.closed.Store(true)
	}
	if err := f.low.push(p, f.host); err != nil {
		return err
	}
	if f.has(peerDead) { // before the pusher was there
		p.Event(layer.Closed)
	}
	return nil
}

// Packets takes packets of the lower end.
func (p *pusher) Packets(pkts []*packet.Buffer) {
	pkts = withoutKeepalives(pkts)
	if len(pkts) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.closed.Load() {
		packet.ReleaseBatch(pkts)
		return
	}
	p.to.Packets(pkts)
}

// Event takes a change of the lower end.
func (p *pusher) Event(e layer.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.closed.Load() {
		return
	}
	switch e {
	case layer.Closed:
		p.over = true
	case layer.Down, layer.Up:
		if down := e == layer.Down; down == p.down {
			return
		} else {
			p.down = down
		}
	}
	p.to.Event(e)
}
