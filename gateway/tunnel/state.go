// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"o7gw/gateway/ip"
	"o7gw/gateway/tun"
)

// add admits a peer; false if there are enough. A tunnel in plain mode has
// one peer: a new one replaces the old, whose end may go unnoticed.
func (t *Tunnel) add(p *peer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg.Plain {
		for _, old := range t.peers {
			old.closing.Do(func() { close(old.closed) })
		}
	} else if t.cfg.Listen != "" && len(t.peers) >= t.cfg.MaxPeers {
		return false
	}
	t.peers = append(t.peers, p)
	t.admitted++
	return true
}

// remove forgets a peer and everything it announced.
func (t *Tunnel) remove(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers = slices.DeleteFunc(t.peers, func(q *peer) bool { return q == p })
	t.past.add(p)
	t.view.Store(t.newView())
	t.applyLocked()
}

// accepted records the prefixes of a peer. Those that an older peer has stay
// with that one, which has to show that it is alive.
func (t *Tunnel) accepted(p *peer, prefixes []netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.prefixes = prefixes
	for _, old := range t.peers {
		if old == p {
			break
		}
		if slices.ContainsFunc(prefixes, func(a netip.Prefix) bool { return slices.Contains(old.prefixes, a) }) {
			old.doubted.Store(true)
		}
	}
	t.view.Store(t.newView())
	t.applyLocked()
}

// newView builds the routing table, and what each peer may send from; t.mu is
// held, or the tunnel not started. Of two peers with the same prefix the older
// has it: nobody may take what a live peer holds. A client that comes back
// gets its prefix when its old flow has ended.
func (t *Tunnel) newView() *view {
	v := &view{
		table: new(bart.Table[*peer]),
		clamp: t.cfg.MSSClamp, relay: t.cfg.Relay, plain: t.cfg.Plain,
	}
	for _, p := range t.peers {
		set := new(bart.Lite)
		for _, a := range p.prefixes {
			if _, held := v.table.Get(a); !held {
				v.table.Insert(a, p)
				set.Insert(a)
			}
		}
		p.allowed.Store(set)
	}
	return v
}

// applyLocked brings MTU and routes of the interface in line with the peers.
// Failures are logged: the tunnel works without.
func (t *Tunnel) applyLocked() {
	if mtu := t.wantMTU(); mtu != t.mtu {
		if err := t.dev.SetMTU(mtu, layerOverhead); err != nil {
			t.complain("setting the MTU failed", err)
		} else {
			t.log.Info("MTU changed", "device", t.dev.Name(), "mtu", mtu)
			t.mtu = mtu
		}
	}
	want := t.wantRoutes()
	for p := range t.routes {
		if !want[p] {
			if err := t.dev.DelRoute(p); err != nil {
				t.complain("removing a route failed", err)
			}
			delete(t.routes, p)
		}
	}
	for p := range want {
		if !t.routes[p] {
			if err := t.dev.AddRoute(p); err != nil {
				t.complain("adding a route failed", err)
				continue
			}
			t.routes[p] = true
		}
	}
}

// complain logs a failure to change the interface, unless that is gone.
func (t *Tunnel) complain(what string, err error) {
	if t.ctx.Err() != nil {
		return
	}
	t.log.Warn(what, "err", err)
}

// wantMTU returns the MTU for the interface: the configured one, or what fits
// every flow, but room for IPv6 if the interface has an IPv6 address; what
// then exceeds a flow is answered with Packet Too Big.
func (t *Tunnel) wantMTU() int {
	if t.cfg.MTU != 0 {
		return t.cfg.MTU
	}
	if len(t.peers) == 0 {
		return t.mtu
	}
	mtu := tun.MaxMTU
	for _, p := range t.peers {
		mtu = min(mtu, int(p.mtu.Load()))
	}
	least := minMTU
	if t.cfg.source(6).IsValid() {
		least = ip.MinMTU6
	}
	return max(mtu, least)
}

// wantRoutes returns the kernel routes to have: what peers announced beyond
// the networks of the interface. A default route is for the administrator to
// set: it would catch the flow's own packets.
func (t *Tunnel) wantRoutes() map[netip.Prefix]bool {
	want := map[netip.Prefix]bool{}
	if !t.cfg.Routes {
		return want
	}
	onLink := t.cfg.onLink()
	for _, p := range t.peers {
		for _, a := range p.prefixes {
			if a.Bits() > 0 && !covered(a, onLink) {
				want[a] = true
			}
		}
	}
	return want
}
