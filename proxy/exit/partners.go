// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"o7gw/proxy/policy"
	"o7gw/proxy/session"
)

// partnersMost bounds with how many addresses a session talks at a time: those
// with which it has not talked for longest are forgotten.
const partnersMost = 4096

// partners are the addresses with which a UDP session may talk. One goroutine
// sends to them, another receives.
type partners struct {
	e     *Exit
	peer  policy.Peer
	req   session.Request
	first netip.AddrPort // to which req leads

	// What was allowed the last time, and the version that allowed it.
	to       netip.AddrPort
	toSeen   version
	from     netip.Addr
	fromSeen version
	turns    atomic.Uint32 // of generations

	mu      sync.Mutex
	checked *Config // that allows all of them
	// By address, the port to which the session has sent first. Two generations:
	// when the young are many they become the old, and the old are forgotten.
	young, old map[netip.Addr]uint16
}

// version changes when what is known may not hold any more.
type version struct {
	cfg   *Config
	turns uint32
}

func (p *partners) version() version { return version{p.e.cfg.Load(), p.turns.Load()} }

// target returns where a datagram goes that the session has addressed so;
// invalid: nowhere.
func (p *partners) target(to netip.AddrPort) netip.AddrPort {
	if !to.IsValid() {
		to = p.first
	}
	v := p.version()
	if v == p.toSeen && to == p.to {
		return to
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recheckLocked(v.cfg)
	// The port with which the entry was made needs no check again.
	if port, ok := p.young[to.Addr()]; !ok || port != to.Port() {
		if to.Port() == 0 || !p.allowed(to) {
			return netip.AddrPort{}
		}
		p.enterLocked(to.Addr(), to.Port())
	}
	p.to, p.toSeen = to, v
	return to
}

// knows reports whether a datagram of that source is passed on.
func (p *partners) knows(from netip.AddrPort) bool {
	a, v := from.Addr(), p.version()
	if v == p.fromSeen && a == p.from {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recheckLocked(v.cfg)
	if _, ok := p.young[a]; !ok {
		port, ok := p.old[a]
		if !ok {
			return false
		}
		p.enterLocked(a, port)
	}
	p.from, p.fromSeen = a, v
	return true
}

// allowed reports whether the policy has something for an address. The one to
// which the host of the request leads is allowed by rules for hosts, too.
func (p *partners) allowed(to netip.AddrPort) bool {
	if to == p.first {
		return p.e.allowed(p.peer, &p.req, to.Addr())
	}
	r := session.Request{Proto: session.UDP, Addr: to.Addr(), Port: to.Port()}
	return p.e.allowed(p.peer, &r, to.Addr())
}

// enterLocked enters an address among the young ones.
func (p *partners) enterLocked(a netip.Addr, port uint16) {
	if _, ok := p.young[a]; ok {
		return
	}
	if p.young == nil || len(p.young) >= partnersMost/2 {
		p.young, p.old = map[netip.Addr]uint16{}, p.young
		p.turns.Add(1)
	}
	p.young[a] = port
}

// recheckLocked forgets, after the policy has changed, whom it forbids.
func (p *partners) recheckLocked(cfg *Config) {
	if cfg == p.checked {
		return
	}
	p.checked = cfg
	for _, m := range []map[netip.Addr]uint16{p.young, p.old} {
		for a, port := range m {
			if !p.allowed(netip.AddrPortFrom(a, port)) {
				delete(m, a)
			}
		}
	}
}
