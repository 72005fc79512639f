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
	Peers   []string // names, with * for any number of characters; "" is a peer without certificate
	Layers  []string
	Hosts   []string // of the request: patterns of route.MatchHost
	Targets []netip.Prefix
	Ports   []route.PortRange
	Protos  []session.Proto
}

// Policy is an allow list.
type Policy struct {
	Allow   []Rule
	Default bool // what holds if no rule matches
}

// Peer reports whether some rule could allow a peer anything: what it cannot
// get is refused before anything is done for it.
func (p *Policy) Peer(peer Peer) bool {
	return p.Default || slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.peer(peer) })
}

// Check says whether a peer may have what it asks for: session.OK or
// session.Denied. addr is what the host of the request resolves to, or its
// address; it is invalid for the service of a name. Addresses that lead back
// to the machine itself, or to no single host, need a rule whose targets name
// them.
func (p *Policy) Check(peer Peer, req session.Request, addr netip.Addr) session.Status {
	addr = addr.Unmap().WithZone("")
	for i := range p.Allow {
		if p.Allow[i].matches(peer, &req, addr) {
			return session.OK
		}
	}
	if p.Default && !Special(addr) {
		return session.OK
	}
	return session.Denied
}

// Names reports whether a rule allows the request by a prefix for exactly this
// address: what is needed for the addresses of the machine itself.
func (p *Policy) Names(peer Peer, req session.Request, addr netip.Addr) bool {
	return slices.ContainsFunc(p.Allow, func(r Rule) bool {
		return r.matches(peer, &req, addr) && slices.ContainsFunc(r.Targets, func(t netip.Prefix) bool {
			return t.IsSingleIP() && t.Addr() == addr || Special(addr) && t.Contains(addr)
		})
	})
}

func (r *Rule) peer(peer Peer) bool {
	return (len(r.Peers) == 0 || slices.ContainsFunc(r.Peers, func(s string) bool { return match(s, peer.Name) })) &&
		(len(r.Layers) == 0 || slices.Contains(r.Layers, peer.Layer))
}

func (r *Rule) matches(peer Peer, req *session.Request, addr netip.Addr) bool {
	if !r.peer(peer) || !route.Ports(r.Ports, req.Port) || len(r.Protos) > 0 && !slices.Contains(r.Protos, req.Proto) {
		return false
	}
	if len(r.Hosts) > 0 {
		host := strings.ToLower(strings.TrimSuffix(req.Host, "."))
		if host == "" || !slices.ContainsFunc(r.Hosts, func(p string) bool { return route.MatchHost(p, host) }) {
			return false
		}
	}
	return r.target(addr)
}

// target reports whether the targets of the rule allow an address. A special
// one needs a prefix that is within the special range: 0.0.0.0/0 does not
// allow the loopback interface.
func (r *Rule) target(addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	if within := specialRange(addr); within.IsValid() {
		return slices.ContainsFunc(r.Targets, func(p netip.Prefix) bool {
			return p.Contains(addr) && p.Bits() >= within.Bits()
		})
	}
	return len(r.Targets) == 0 || slices.ContainsFunc(r.Targets, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// special are the ranges that must be named to be allowed: the machine itself,
// the link, groups, and what stands for other addresses.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, and the metadata service of clouds
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"), // reserved and broadcast
	netip.MustParsePrefix("::/96"),       // unspecified, loopback, IPv4-compatible
	netip.MustParsePrefix("::ffff:0:0/96"),
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64
	netip.MustParsePrefix("2002::/16"),    // 6to4
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("ff00::/8"),
}

// specialRange returns the special range of an address; invalid: none.
func specialRange(addr netip.Addr) netip.Prefix {
	for _, p := range special {
		if p.Contains(addr) {
			return p
		}
	}
	return netip.Prefix{}
}

// Special reports whether an address must be named by a rule to be allowed.
func Special(addr netip.Addr) bool { return addr.IsValid() && specialRange(addr).IsValid() }

// match reports whether a name matches a pattern in which * is any number of
// characters; other characters stand for themselves.
func match(pattern, name string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == name
	}
	first, rest, _ := strings.Cut(pattern, "*")
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}
