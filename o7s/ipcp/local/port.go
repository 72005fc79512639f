// SPDX-License-Identifier: BSD-3-Clause

package local

import (
	"sync/atomic"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// port is one end of a flow. Sending runs the receiver of the other end.
type port struct {
	home   *IPCP
	peer   *port
	in     layer.Inbox
	closed atomic.Bool // by its user or with the IPC process

	packets atomic.Uint64 // handed to the peer
	bytes   atomic.Uint64
	dropped atomic.Uint64 // too long, or the peer is gone
}

// pair makes a flow; ok is false after the IPC process was closed.
func (l *IPCP) pair() (a, b *port, ok bool) {
	a, b = &port{home: l}, &port{home: l}
	a.peer, b.peer = b, a
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ports == nil {
		return nil, nil, false
	}
	l.ports[a], l.ports[b] = struct{}{}, struct{}{}
	return a, b, true
}

func (p *port) Send(pkts []*packet.Buffer) {
	if p.closed.Load() || p.peer.closed.Load() {
		p.dropped.Add(uint64(len(pkts)))
		packet.ReleaseBatch(pkts)
		return
	}
	size, long := 0, 0
	for _, b := range pkts {
		size += b.Len()
		if b.Len() > MTU {
			long++
		}
	}
	if long > 0 {
		pkts, size = p.withoutLong(pkts)
	}
	p.packets.Add(uint64(len(pkts)))
	p.bytes.Add(uint64(size))
	p.peer.in.Deliver(pkts)
}

// withoutLong drops packets above the MTU.
func (p *port) withoutLong(pkts []*packet.Buffer) (rest []*packet.Buffer, size int) {
	for _, b := range pkts {
		if b.Len() > MTU {
			b.Release()
			p.dropped.Add(1)
			continue
		}
		rest = append(rest, b)
		size += b.Len()
	}
	return rest, size
}

func (p *port) Receive(r layer.Receiver) { p.in.Receive(r) }

func (p *port) MTU() int { return MTU }

// Close unpairs both ends. The peer gets what was sent before, then Closed.
func (p *port) Close() error {
	p.in.Close() // also after end
	if p.closed.Swap(true) {
		return nil
	}
	p.home.forget(p)
	p.peer.in.Notify(layer.Closed)
	return nil
}

// end is Close by the layer: the user of the port hears of it.
func (p *port) end() {
	if p.closed.Swap(true) {
		return
	}
	p.home.count(p)
	p.in.Notify(layer.Closed)
}

func (l *IPCP) forget(p *port) {
	l.mu.Lock()
	delete(l.ports, p)
	l.mu.Unlock()
	l.count(p)
}
