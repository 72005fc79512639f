// SPDX-License-Identifier: BSD-3-Clause

// Package route says which Ouroboros service serves a destination of an IP
// program: a service by name, or an exit that reaches an address or host.
//
// Start with New and Table.FindAll.
package route

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"o7gw/o7s/qos"
	"o7gw/proxy/session"
)

// Dest is a destination: a host name or an address.
type Dest struct {
	Host  string
	Addr  netip.Addr
	Port  uint16
	Proto session.Proto
	DSCP  uint8
}

// Way is how a destination is reached: a flow to Service, on which Request
// asks for it.
type Way struct {
	Service string
	Request session.Request
	QoS     qos.Spec // zero: the default of the protocol
}

// Config is what a Table is made of.
type Config struct {
	Zones []string // HOST.zone is the service HOST
	Exits []Exit
	QoS   []QoSRule // the first that matches decides
}

// Exit is a service that dials out, and what it is used for. Empty lists of
// ports and protocols are all; without prefixes and hosts it is for nothing.
type Exit struct {
	Service  string
	Prefixes []netip.Prefix
	Hosts    []string // "example.org", "*.example.org" (all below it), "*"
	Ports    []PortRange
	Protos   []session.Proto
}

// QoSRule chooses the QoS of flows. Empty lists are all.
type QoSRule struct {
	Protos   []session.Proto
	Ports    []PortRange
	DSCP     []uint8
	Services []string
	QoS      qos.Spec
}

// Pool maps addresses to the services that they stand for.
type Pool interface {
	Contains(a netip.Addr) bool
	Lookup(a netip.Addr) (service string, ok bool)
}

// Table is a Config made ready. It never changes.
type Table struct {
	cfg   Config
	zones []string // ".o7s", in lower case
	pool  Pool
}

// New returns the table of a configuration; pool may be nil.
func New(c Config, pool Pool) *Table {
	t := &Table{cfg: c, pool: pool}
	for _, z := range c.Zones {
		t.zones = append(t.zones, "."+strings.ToLower(strings.Trim(z, ".")))
	}
	return t
}

// Find returns the first way to a destination; the error is a session.Status.
func (t *Table) Find(d Dest) (Way, error) {
	ways, err := t.FindAll(d)
	if err != nil {
		return Way{}, err
	}
	return ways[0], nil
}

// FindAll returns the ways to a destination, the preferred one first. A host
// of a zone, and an address that stands for a name, is a service; others are
// reached by exits. Without a way the error is a session.Status.
func (t *Table) FindAll(d Dest) ([]Way, error) {
	if d.Host != "" {
		host := strings.ToLower(strings.TrimSuffix(d.Host, "."))
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			d.Host, d.Addr = "", a
		} else {
			d.Host = host
		}
	}
	d.Addr = d.Addr.Unmap().WithZone("")
	if d.Host != "" {
		for _, z := range t.zones {
			if service, ok := strings.CutSuffix(d.Host, z); ok && service != "" {
				return []Way{t.service(service, d)}, nil
			}
			if "."+d.Host == z {
				return nil, session.NotFound
			}
		}
	} else if t.pool != nil && t.pool.Contains(d.Addr) {
		service, ok := t.pool.Lookup(d.Addr)
		if !ok {
			return nil, session.Unreachable
		}
		return []Way{t.service(service, d)}, nil
	}
	var ways []Way
	for i := range t.cfg.Exits {
		if e := &t.cfg.Exits[i]; e.reaches(d) {
			ways = append(ways, Way{
				Service: e.Service,
				Request: session.Request{Proto: d.Proto, Host: d.Host, Addr: d.Addr, Port: d.Port},
				QoS:     t.qos(e.Service, d),
			})
		}
	}
	if ways == nil {
		return nil, session.Unreachable
	}
	return ways, nil
}

// service is the way to a port of a service.
func (t *Table) service(name string, d Dest) Way {
	return Way{Service: name, Request: session.Request{Proto: d.Proto, Port: d.Port}, QoS: t.qos(name, d)}
}

func (e *Exit) reaches(d Dest) bool {
	if !Ports(e.Ports, d.Port) || !protos(e.Protos, d.Proto) {
		return false
	}
	if d.Host != "" {
		return slices.ContainsFunc(e.Hosts, func(p string) bool { return MatchHost(p, d.Host) })
	}
	return slices.ContainsFunc(e.Prefixes, func(p netip.Prefix) bool { return p.Contains(d.Addr) })
}

// qos returns the QoS for a flow to a service; zero: the default.
func (t *Table) qos(service string, d Dest) qos.Spec {
	for i := range t.cfg.QoS {
		r := &t.cfg.QoS[i]
		if Ports(r.Ports, d.Port) && protos(r.Protos, d.Proto) &&
			(len(r.DSCP) == 0 || slices.Contains(r.DSCP, d.DSCP)) &&
			(len(r.Services) == 0 || slices.Contains(r.Services, service)) {
			return r.QoS
		}
	}
	return qos.Spec{}
}

// MatchHost reports whether a host name, in lower case, matches a pattern: a
// name, "*." and a name for all that is below it, or "*".
func MatchHost(pattern, host string) bool {
	pattern = strings.ToLower(pattern)
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		return strings.HasSuffix(host, "."+rest)
	}
	return pattern == "*" || pattern == host
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// Ports reports whether a port lies in one of the ranges; no ranges are all.
func Ports(ranges []PortRange, port uint16) bool {
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r PortRange) bool { return r.First <= port && port <= r.Last })
}

func protos(list []session.Proto, p session.Proto) bool {
	return len(list) == 0 || slices.Contains(list, p)
}

// ParsePorts reads ranges such as "80, 8000-8099".
func ParsePorts(text string) ([]PortRange, error) {
	var out []PortRange
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		a, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		b, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if err1 != nil || err2 != nil || a == 0 || a > b {
			return nil, fmt.Errorf("%q is no port or range of ports, such as 80 or 8000-8099", strings.TrimSpace(part))
		}
		out = append(out, PortRange{uint16(a), uint16(b)})
	}
	return out, nil
}
