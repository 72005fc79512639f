// SPDX-License-Identifier: BSD-3-Clause

package eth

import "o7gw/o7s/layer"

// checkDevice asks for the state of the device and tells the flows when it
// changed. A device counts as up if it is set up and has a carrier (the
// prototype looks at the first only). It runs in the receiving goroutine.
func (p *IPCP) checkDevice() {
	d, err := deviceAt(p.sock.fd, p.index)
	if err != nil && p.linked.Load() {
		p.Log().Warn("device is gone; destroy this IPCP and make a new one when it is back", "device", p.device, "err", err)
	}
	if err == nil && d.addr != *p.self.Load() {
		p.moved(d.addr)
	}
	if d.up == p.linked.Swap(d.up) { // without a device: down
		return
	}
	p.stats.linkChanges.Add(1)
	p.Log().Info("carrier changed", "device", p.device, "up", d.up)
	for f := range p.flows.all() {
		if f.state.Load() == up {
			f.tell(d.up)
		}
	}
}

// moved takes up the new address of the device. Peers know the flows by the
// old one, so those end; peers that understand it are told, from the old one.
func (p *IPCP) moved(to mac) {
	p.Log().Warn("device has a new address, its flows end", "device", p.device, "addr", to.String())
	if err := p.framing.attach(p.sock.fd, to); err != nil {
		p.Log().Error("cannot receive for the new address", "device", p.device, "err", err)
	}
	for f := range p.flows.all() {
		if f.state.Load() == up && f.shut() {
			f.in.Notify(layer.Closed)
		}
	}
	p.self.Store(&to)
}

// ready reports whether the device carries frames. News of a carrier that is
// back may be a second late, so it is asked.
func (p *IPCP) ready() bool {
	if p.linked.Load() {
		return true
	}
	d, err := deviceAt(p.sock.fd, p.index)
	return err == nil && d.up
}
