// SPDX-License-Identifier: BSD-3-Clause

// Package policy says who may use an expose or an exit, for what, and how much
// of it (docs/policy.md).
//
// Start with Policy.Check and NewLimiter.
package policy

import (
	"net/netip"
	"slices"
	"strings"

	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// Peer is the other side of a flow.
type Peer struct {
	Name  string // in its certificate, which was verified; "": it showed none
	Layer string // that carries the flow; "": a program of this node
}

// Rule allows what matches all of its lists; an empty list matches everything.
type Rule struct {
	Peers   []string // patterns of Match; "" is a peer without certificate
	Layers  []string // patterns of Match; "" is this node
	Hosts   []string // of the request: patterns of route.MatchHost. A request for an address has none
	Targets []netip.Prefix
	Ports   []route.PortRange
	Protos  []session.Proto
}

// Policy is an allow list.
type Policy struct {
	Allow   []Rule
	Default bool // what holds if no rule matches
}

// Knows reports whether some rule could allow a peer anything: what it cannot
// get is refused before anything is done for it.
func (p *Policy) Knows(peer Peer) bool {
	return p.Default || slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.peer(peer) })
}

// Could reports whether a peer could have what it asks for if only its host
// had the right address: no name is looked up for others.
func (p *Policy) Could(peer Peer, req session.Request) bool {
	return p.Default || slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.asks(peer, &req) })
}

// Check says whether a peer may have what it asks for: session.OK or
// session.Denied. addr is what the host of the request resolves to, or its
// address; it is invalid for the service of a name, to which rules with hosts
// or targets do not apply. Special addresses need a rule that names them.
func (p *Policy) Check(peer Peer, req session.Request, addr netip.Addr) session.Status {
	addr = addr.Unmap().WithZone("")
	for i := range p.Allow {
		if r := &p.Allow[i]; r.asks(peer, &req) && r.target(addr) {
			return session.OK
		}
	}
	if p.Default && !Special(addr) {
		return session.OK
	}
	return session.Denied
}

// Names is Check for an address that leads back into the gateway, as all of
// within do: a rule must name it, by a prefix within that, or within the
// special range in which it lies.
func (p *Policy) Names(peer Peer, req session.Request, addr netip.Addr, within netip.Prefix) session.Status {
	addr = addr.Unmap().WithZone("")
	least := within.Bits()
	if special := specialRange(addr); special.IsValid() {
		least = min(least, special.Bits())
	}
	for i := range p.Allow {
		if r := &p.Allow[i]; r.asks(peer, &req) && r.names(addr, least) {
			return session.OK
		}
	}
	return session.Denied
}

func (r *Rule) peer(peer Peer) bool {
	return (len(r.Peers) == 0 || slices.ContainsFunc(r.Peers, func(s string) bool { return Match(s, peer.Name) })) &&
		(len(r.Layers) == 0 || slices.ContainsFunc(r.Layers, func(s string) bool { return Match(s, peer.Layer) }))
}

// asks reports whether a rule allows a request, apart from the address.
func (r *Rule) asks(peer Peer, req *session.Request) bool {
	if !r.peer(peer) || !route.Ports(r.Ports, req.Port) || len(r.Protos) > 0 && !slices.Contains(r.Protos, req.Proto) {
		return false
	}
	if len(r.Hosts) == 0 {
		return true
	}
	host := strings.ToLower(strings.TrimSuffix(req.Host, "."))
	return host != "" && slices.ContainsFunc(r.Hosts, func(p string) bool { return route.MatchHost(p, host) })
}

// target reports whether the targets of the rule allow an address. A special
// one must be named: 0.0.0.0/0 does not allow the loopback interface.
func (r *Rule) target(addr netip.Addr) bool {
	if !addr.IsValid() {
		return len(r.Targets) == 0
	}
	if special := specialRange(addr); special.IsValid() {
		return r.names(addr, special.Bits())
	}
	return len(r.Targets) == 0 || r.names(addr, 0)
}

// names reports whether a target of at least so many bits has an address in it.
func (r *Rule) names(addr netip.Addr, least int) bool {
	return slices.ContainsFunc(r.Targets, func(p netip.Prefix) bool { return p.Bits() >= least && p.Contains(addr) })
}

// Match reports whether a name matches a pattern in which * stands for any
// number of characters, and others for themselves. The empty name, which is
// nobody, matches the empty pattern only.
func Match(pattern, name string) bool {
	first, rest, stars := strings.Cut(pattern, "*")
	if !stars || name == "" {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := len(parts) - 1
	for _, part := range parts[:last] {
		// The first place is as good as a later one.
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, parts[last])
}
