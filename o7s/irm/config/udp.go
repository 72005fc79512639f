// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"net/netip"

	"o7gw/o7s/ipcp"
)

// Bounds of the mtu of a udp layer, in bytes: what every IPv4 host takes, what
// every IPv6 link carries, and what a length field holds.
const (
	minMTU4 = 576
	minMTU6 = 1280
	maxMTU  = 65535
)

// udp reads the keys of udp4 and udp6; mtu, hosts and hosts_file are ours.
func (t *table) udp(c *ipcp.UDPConfig, kind ipcp.Type, required bool) {
	key, ok := t.address(&c.Addr, kind, "ip")
	switch {
	case ok && c.Addr.IsUnspecified():
		t.errorf(key, "%s is no address that others can reach", c.Addr)
	case key == "" && required:
		t.errorf("", "ip, the own address, is missing")
	}
	port := ipcp.DefaultUDPPort
	t.int(&port, 1, 65535, "port")
	c.Port = uint16(port)
	t.address(&c.DNS, kind, "dns")
	minMTU := int64(minMTU4)
	if kind == ipcp.UDP6 {
		minMTU = minMTU6
	}
	t.int(&c.MTU, minMTU, maxMTU, "mtu")
	if key, ok := t.string(&c.HostsFile, "hosts_file"); ok && c.HostsFile == "" {
		t.errorf(key, "the path is empty")
	}
	if _, ok := t.vals["hosts"]; ok {
		c.Hosts = t.hosts(kind)
	}
}

// address reads an address of the family of the type.
func (t *table) address(dst *netip.Addr, kind ipcp.Type, key string) (string, bool) {
	var s string
	spelled, ok := t.string(&s, key)
	if !ok {
		return spelled, false
	}
	a, ok := t.parseAddr(key, kind, s)
	if ok {
		*dst = a
	}
	return key, ok
}

func (t *table) parseAddr(key string, kind ipcp.Type, s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err == nil && a.Is4() == (kind == ipcp.UDP4) && !a.Is4In6() {
		return a, true
	}
	family := "IPv4"
	if kind == ipcp.UDP6 {
		family = "IPv6"
	}
	t.errorf(key, "%q is not an %s address", s, family)
	return netip.Addr{}, false
}

// hosts reads the table of services: one address or a list of them each.
func (t *table) hosts(kind ipcp.Type) map[string][]netip.Addr {
	sub, ok := t.sub("hosts")
	if !ok {
		return nil
	}
	hosts := make(map[string][]netip.Addr, len(sub.vals))
	for _, service := range sub.keys() {
		sub.checkName(service, "service", service)
		var texts []string
		switch v := sub.vals[service].(type) {
		case string:
			sub.used[service] = true
			texts = []string{v}
		case []any:
			if texts, ok = sub.strings(service); !ok {
				continue
			}
		default:
			sub.errorf(service, "must be an address or an array of addresses, not %s", kindOf(v))
			continue
		}
		if len(texts) == 0 {
			sub.errorf(service, "has no address")
		}
		for _, s := range texts {
			if a, ok := sub.parseAddr(service, kind, s); ok {
				hosts[service] = append(hosts[service], a)
			}
		}
	}
	return hosts
}
