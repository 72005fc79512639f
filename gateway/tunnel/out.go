// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"net/netip"
	"sync/atomic"

	"o7gw/gateway/ip"
	"o7gw/o7s/packet"
)

// readBatch is how many packets are read before they are sent: two large
// segments of the kernel at least.
const readBatch = 2 * packet.BatchSize

// outbound is the half of the data path from the device to the flows: one
// goroutine that carries each batch down to the layer's socket.
type outbound struct {
	t    *Tunnel
	sink Sink // ICMP errors to our own host
	run  []*packet.Buffer
	to   *peer // of run

	noRoute, malformed, tooBig atomic.Uint64
}

// loop runs until the device is closed.
func (o *outbound) loop() error {
	bufs := make([]*packet.Buffer, readBatch)
	room := o.t.dev.Room()
	packet.GetBatch(bufs, room)
	defer func() { packet.ReleaseBatch(bufs) }()
	for {
		if err := o.t.dev.Wait(o.t.answers.Load()); err != nil {
			return err
		}
		if r := o.t.dev.Room(); r > room {
			room = r
			packet.ReleaseBatch(bufs)
			packet.GetBatch(bufs, room)
		}
		n := 0
		for {
			k, err := o.t.dev.Read(bufs[n:])
			if n += k; err != nil {
				return err
			}
			// More that waits shares the system calls below.
			if len(bufs)-n < packet.BatchSize || !o.t.dev.Ready() {
				break
			}
		}
		o.carry(bufs[:n])
		packet.GetBatch(bufs[:n], room)
	}
}

// carry sends each packet to the peer of its destination. It takes the
// buffers.
func (o *outbound) carry(pkts []*packet.Buffer) {
	v := o.t.view.Load()
	var last netip.Addr
	var to *peer
	mtu := 0
	for _, b := range pkts {
		raw := b.Bytes()
		h, err := ip.Parse(raw)
		if err != nil {
			o.malformed.Add(1)
			b.Release()
			continue
		}
		if dst := ip.Dst(raw); dst != last {
			last = dst
			if to, _ = v.table.Lookup(dst); to != nil {
				mtu = int(to.mtu.Load())
			}
		}
		if to == nil {
			o.noRoute.Add(1)
			o.answer(b, h, ip.NoRoute, 0)
			continue
		}
		if h.Total > mtu {
			o.exceeds(b, h, to, mtu)
			continue
		}
		if v.clamp {
			ip.ClampMSS(raw, h, mtu)
		}
		if to != o.to {
			o.flush()
			o.to = to
		}
		o.run = append(o.run, b)
	}
	o.flush()
}

// flush sends the run.
func (o *outbound) flush() {
	if len(o.run) > 0 {
		o.to.send(o.run)
		clear(o.run)
		o.run = o.run[:0]
	}
	o.to = nil
}

// exceeds handles a packet that the flow cannot carry: it is split where that
// is allowed, or its sender told how much fits.
func (o *outbound) exceeds(b *packet.Buffer, h ip.Header, to *peer, mtu int) {
	o.tooBig.Add(1)
	if ip.DontFragment(b.Bytes()) {
		o.answer(b, h, ip.TooBig, mtu)
		return
	}
	o.flush() // no overtaking
	ip.Fragment(b.Bytes(), h, mtu, to.sendBytes)
	b.Release()
}

// answer sends an ICMP error about b to our own host, and releases b.
func (o *outbound) answer(b *packet.Buffer, h ip.Header, r ip.Reason, mtu int) {
	if o.t.errors.allow() {
		e := ip.AppendError(nil, b.Bytes(), h, r, o.t.config().source(h.Version), mtu)
		if len(e) > 0 {
			reply := packet.Get(len(e))
			reply.Append(e)
			o.sink.Write([]*packet.Buffer{reply})
		}
	}
	b.Release()
}
