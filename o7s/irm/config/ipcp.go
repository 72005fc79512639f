// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// parseIPCP reads a table [<type>.<name>].
func parseIPCP(t *table, kind ipcp.Type, name string) IPCP {
	p := IPCP{Type: kind, Name: name, Config: ipcp.Config{Type: kind, Hash: layer.SHA3_256}}
	t.checkName("", "IPCP", name)
	bootstrap, doesBootstrap := t.string(&p.Config.Layer, "bootstrap")
	if doesBootstrap {
		t.checkName(bootstrap, "layer", p.Config.Layer)
	}
	enroll, doesEnroll := t.string(&p.Enroll, "enrol", "enroll")
	if doesEnroll {
		t.checkName(enroll, "destination", p.Enroll)
		if kind != ipcp.Unicast && kind != ipcp.Broadcast {
			t.errorf(enroll, "only unicast and broadcast IPCPs enroll")
		}
		if doesBootstrap {
			t.errorf(enroll, "an IPCP is either bootstrapped or enrolled")
		}
	}
	t.bool(&p.Autobind, "autobind")
	if p.Autobind && kind != ipcp.Unicast && kind != ipcp.Broadcast {
		t.errorf("autobind", "only unicast and broadcast IPCPs are bound to names")
	}
	p.Register = t.names("reg", "service")
	if len(p.Register) > 0 && !doesBootstrap && !doesEnroll {
		t.errorf("reg", "names are registered in a layer: bootstrap or enroll is missing")
	}
	p.Connect = t.names("conn", "destination")
	if len(p.Connect) > 0 && !doesEnroll {
		t.errorf("conn", "only enrolled IPCPs connect: enroll is missing")
	}
	switch kind {
	case ipcp.Local:
		t.hash(&p.Config.Hash)
	case ipcp.EthLLC, ipcp.EthDIX:
		t.hash(&p.Config.Hash)
		t.eth(&p.Config.Eth, kind, doesBootstrap)
	case ipcp.UDP4, ipcp.UDP6:
		t.udp(&p.Config.UDP, kind, doesBootstrap)
	case ipcp.Unicast:
		t.hash(&p.Config.Hash)
		t.unicast(&p.Config.Unicast)
	}
	t.close()
	return p
}

// names reads an array of names.
func (t *table) names(key, what string) []string {
	list, ok := t.strings(key)
	if !ok {
		return nil
	}
	for _, n := range list {
		t.checkName(key, what, n)
	}
	return list
}

func (t *table) hash(dst *layer.HashAlgo) {
	var s string
	key, ok := t.string(&s, "hash")
	if !ok {
		return
	}
	a, err := layer.ParseHashAlgo(s)
	if err != nil {
		t.errorf(key, "%q is none of SHA3_224, SHA3_256, SHA3_384, SHA3_512", s)
		return
	}
	*dst = a
}

func (t *table) eth(c *ipcp.EthConfig, kind ipcp.Type, required bool) {
	key, ok := t.string(&c.Device, "dev", "device")
	switch {
	case ok:
		t.checkName(key, "device", c.Device)
	case required && key == "":
		t.errorf("", "dev, the network interface, is missing")
	}
	if kind == ipcp.EthDIX {
		// Below 0x0600 the field is a length; 0xFFFF is reserved.
		ethertype := ipcp.DefaultEthertype
		t.int(&ethertype, 0x0600, 0xFFFE, "ethertype")
		c.Ethertype = uint16(ethertype)
	}
}
