// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"o7gw/gateway/ip"
	"o7gw/o7s/packet"
)

// relay sends b on to the peer that its destination belongs to, as a router
// would, and reports true if it took the packet; false: it is for the kernel.
// Packets of one destination leave together in flushRelay.
func (p *peer) relay(b *packet.Buffer, h ip.Header, v *view) bool {
	raw := b.Bytes()
	to, ok := v.table.Lookup(ip.Dst(raw))
	if !ok || to == p {
		return false
	}
	if !ip.DecrementHop(raw) {
		p.answer(b, h, ip.HopsExceeded, 0)
		return true
	}
	if mtu := int(to.mtu.Load()); h.Total > mtu {
		if ip.DontFragment(raw) {
			p.answer(b, h, ip.TooBig, mtu)
		} else {
			ip.Fragment(raw, h, mtu, to.sendBytes)
			b.Release()
		}
		return true
	}
	if p.relayTo != to {
		p.flushRelay()
		p.relayTo = to
	}
	p.relayRun = append(p.relayRun, b)
	return true
}

// flushRelay sends what relay has collected.
func (p *peer) flushRelay() {
	if len(p.relayRun) == 0 {
		return
	}
	p.rx.packets.Add(uint64(len(p.relayRun)))
	p.relayTo.send(p.relayRun)
	clear(p.relayRun)
	p.relayRun, p.relayTo = p.relayRun[:0], nil
}

// answer sends the peer an ICMP error about b, and releases b.
func (p *peer) answer(b *packet.Buffer, h ip.Header, r ip.Reason, mtu int) {
	if p.t.errors.allow() {
		e := ip.AppendError(nil, b.Bytes(), h, r, p.t.config().source(h.Version), mtu)
		if len(e) > 0 {
			p.sendBytes(e)
		}
	}
	b.Release()
}
