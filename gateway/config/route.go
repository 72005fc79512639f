// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"o7gw/o7s/qos"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// routeTable is one [[route]]; nil is: not set.
type routeTable struct {
	Exit      string   `toml:"exit"`
	Prefixes  []prefix `toml:"prefixes"`
	Hosts     []string `toml:"hosts"`
	Ports     *string  `toml:"ports"`
	Protocols []string `toml:"protocols"`
}

func (c *checker) route(i int, in *routeTable) route.Exit {
	t := c.table("route", i)
	e := route.Exit{Service: in.Exit, Prefixes: prefixes(in.Prefixes), Hosts: in.Hosts}
	t.service("exit", in.Exit)
	if len(e.Prefixes)+len(e.Hosts) == 0 {
		t.bad("prefixes", "set prefixes, hosts or both: the destinations beyond the exit")
	}
	e.Ports = t.ports("ports", in.Ports)
	e.Protos = t.protocols("protocols", in.Protocols)
	return e
}

// qosTable is one [[qos]]; nil is: not set.
type qosTable struct {
	Protocols []string `toml:"protocols"`
	Ports     *string  `toml:"ports"`
	DSCP      []uint8  `toml:"dscp"`
	Services  []string `toml:"services"`
	QoS       *string  `toml:"qos"`
}

func (c *checker) qosRule(i int, in *qosTable) route.QoSRule {
	t := c.table("qos", i)
	r := route.QoSRule{Services: in.Services, DSCP: in.DSCP}
	if in.QoS == nil {
		t.bad("qos", "is missing: raw, best, video, voice or data")
	}
	r.QoS = t.qos("qos", in.QoS, qos.Spec{})
	r.Ports = t.ports("ports", in.Ports)
	r.Protos = t.protocols("protocols", in.Protocols)
	for _, d := range in.DSCP {
		if d > 63 {
			t.bad("dscp", "must be between 0 and 63, not %d", d)
		}
	}
	return r
}

// ports reads ranges such as "80, 8000-8099".
func (t *table) ports(key string, text *string) []route.PortRange {
	if text == nil {
		return nil
	}
	p, err := route.ParsePorts(*text)
	if err != nil {
		t.bad(key, "%v", err)
	}
	return p
}

// protocols reads a list of tcp and udp.
func (t *table) protocols(key string, in []string) []session.Proto {
	var out []session.Proto
	for _, s := range in {
		switch s {
		case "tcp":
			out = append(out, session.TCP)
		case "udp":
			out = append(out, session.UDP)
		default:
			t.bad(key, "%q is none of tcp, udp", s)
		}
	}
	return out
}
