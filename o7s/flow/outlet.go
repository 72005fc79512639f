// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// outlet is where frcpLower puts its packets.
type outlet interface {
	// room returns how many packets may go now, at most most. If it is fewer than
	// least, the frcpLower is told when there is more.
	room(most int) int
	// send takes packets, no more than room.
	send(pkts []*packet.Buffer)
}

// ringOutlet is a ring: a full one holds back.
type ringOutlet struct {
	r   *ringLower
	mtu int
}

func (o *ringOutlet) room(most int) int {
	return o.r.q.Room(o.mtu, least, most)
}

func (o *ringOutlet) send(pkts []*packet.Buffer) { o.r.q.Send(pkts) }

// portOutlet is a port of a layer, which holds back if it paces.
type portOutlet struct {
	p      *portLower
	resume func()
}

func (o *portOutlet) room(most int) int {
	if pacer, ok := o.p.port.(layer.Pacer); ok && pacer.Paused(o.resume) {
		return 0
	}
	return most
}

func (o *portOutlet) send(pkts []*packet.Buffer) { o.p.send(pkts) }
