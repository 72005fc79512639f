// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"sync/atomic"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// port is one end of a flow.
//
//	ASKED --accepted--> OPEN --Close, notice of the peer, end of the IPC process--> ENDED
//
// The port of a responder begins OPEN.
type port struct {
	station *station
	num     uint64
	mtu     int
	cube    qos.Cube
	in      layer.Inbox

	// Guarded by the network's mu.
	peer   *port // nil while ASKED
	ended  bool
	down   bool   // as reported last
	offers uint64 // packets given to Params.Drop

	done   atomic.Bool // request answered or given up
	answer chan answer // of the request; has room for one
}

var (
	_ layer.Port   = (*port)(nil)
	_ layer.Queuer = (*port)(nil)
)

// newPortLocked opens a port at the station. net.mu is held.
func (s *station) newPortLocked(cube qos.Cube) *port {
	s.made++
	p := &port{station: s, num: s.made, cube: cube, mtu: s.link.params.mtu(), answer: make(chan answer, 1)}
	s.ports[p.num] = p
	p.reportLocked()
	return p
}

// reportLocked tells the user of a change of the carrier. net.mu is held; the
// caller calls armLocked.
func (p *port) reportLocked() {
	down := !p.station.upLocked()
	if down == p.down {
		return
	}
	p.down = down
	e := layer.Up
	if down {
		e = layer.Down
	}
	p.station.link.net.postHereLocked(func() { p.in.Notify(e) })
}

func (p *port) Send(pkts []*packet.Buffer) {
	l := p.station.link
	n := l.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range pkts {
		p.sendLocked(b)
	}
	n.armLocked()
}

func (p *port) sendLocked(b *packet.Buffer) {
	l := p.station.link
	way := (*channel)(nil)
	if p.peer != nil && !p.ended {
		way = p.station.ways[p.peer.station]
	}
	switch {
	case way == nil: // ended here or there
		l.counters.stray.Add(1)
	case b.Len() > p.mtu:
		l.counters.tooLong.Add(1)
	default:
		if p.offers++; l.params.Drop != nil && l.params.Drop(p.offers, b.Bytes()) {
			l.counters.lost.Add(1)
			break
		}
		cube := p.cube
		if mark := b.Cube(); mark < qos.Cubes {
			cube = max(cube, qos.Cube(mark))
		}
		way.packetLocked(cube, b, p.peer)
		return
	}
	b.Release()
}

func (p *port) Receive(r layer.Receiver) { p.in.Receive(r) }

func (p *port) MTU() int { return p.mtu }

// Queued returns how many messages wait for the rate of the link in front of
// the next packet, not counting the one that is being sent.
func (p *port) Queued() int {
	n := p.station.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.peer == nil {
		return 0
	}
	way := p.station.ways[p.peer.station]
	if way == nil {
		return 0
	}
	return way.waitingLocked(p.cube)
}

// Close ends the flow and sends the peer a notice, which may be lost like any
// message.
func (p *port) Close() error {
	n := p.station.link.net
	p.in.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	p.endLocked()
	n.armLocked()
	return nil
}

// endLocked takes the port out of use and tells the peer. net.mu is held; the
// caller calls armLocked.
func (p *port) endLocked() {
	if p.ended {
		return
	}
	p.ended = true
	delete(p.station.ports, p.num)
	if p.peer != nil {
		p.noticeLocked(p.peer)
	}
}

// noticeLocked tells a port at another station that its flow has ended. net.mu
// is held; the caller calls armLocked.
func (p *port) noticeLocked(to *port) {
	if way := p.station.ways[to.station]; way != nil {
		way.callLocked(p.cube, 0, func() { to.in.Notify(layer.Closed) })
	}
}
