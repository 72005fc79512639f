// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
)

// bootstrapKeywords in match order; the last three are ours.
var bootstrapKeywords = append(values("type", "layer", "name", "hash", "ip", "dns", "device", "ethertype",
	"addr", "eid", "ttl", "port"),
	append([]keyword{{name: "autobind", flag: true}}, values("addr_auth", "directory",
		"dht_alpha", "dht_k", "dht_t_expire", "dht_t_refresh", "dht_t_replicate",
		"routing", "ls_t_timeo", "ls_t_update", "ls_t_recalc", "congestion",
		"mtu", "host", "hosts-file")...)...)

// bootstrapTypes in match order: here a type may be shortened.
var bootstrapTypes = []ipcp.Type{ipcp.Unicast, ipcp.Broadcast, ipcp.UDP4, ipcp.UDP6, ipcp.EthDIX, ipcp.EthLLC, ipcp.Local}

func (c *call) ipcpBootstrap(args []string) error {
	w, err := c.scan(args, bootstrapKeywords)
	if err != nil {
		return err
	}
	switch {
	case w.last("name") == "" || w.last("layer") == "":
		return c.misuse("The keywords name and layer are needed.")
	case len(w.last("layer")) > maxName:
		return failf("Layer name too long.")
	}
	var given *ipcp.Type
	if w.has("type") {
		_, kind, ok := matchType(w.last("type"))
		if !ok {
			return c.misuse(`IPCP type "%s" is unknown.`, w.last("type"))
		}
		given = &kind
		// Before anything is created: a mistake should leave nothing behind.
		if _, err := c.bootstrapConfig(kind, w); err != nil {
			return err
		}
	}
	list, err := c.ipcpsToUse(w.last("name"), func() (ipcp.Type, error) {
		if given == nil {
			return 0, failf("No IPCPs matching %s found; type is needed to create one.", w.last("name"))
		}
		return *given, nil
	})
	if err != nil {
		return err
	}
	for _, p := range list {
		if given != nil && p.Type != *given {
			return failf("Types do not match.\nirm: IPCP %s has type %s.", p.Name, p.Type)
		}
	}
	for _, p := range list {
		if err := c.bootstrap(p, w); err != nil {
			return err
		}
	}
	return nil
}

func matchType(s string) (int, ipcp.Type, bool) {
	names := make([]string, len(bootstrapTypes))
	for i, t := range bootstrapTypes {
		names[i] = t.String()
	}
	i, ok := match(s, names...)
	return i, bootstrapTypes[i], ok
}

// bootstrap makes one IPCP the first member of a layer. An IPCP that is to be
// found through its layer is bound first, so that nobody finds it unbound.
func (c *call) bootstrap(p irm.IPCPInfo, w words) error {
	cfg, err := c.bootstrapConfig(p.Type, w)
	if err != nil {
		return err
	}
	c.warnUnused(p.Type, w)
	undo := func() {}
	if w.has("autobind") {
		if p.Type == ipcp.Unicast || p.Type == ipcp.Broadcast {
			if undo, err = c.bindAll(p, p.Name, cfg.Layer); err != nil {
				return err
			}
		} else {
			c.warn("Can not bind this IPCP type,autobind disabled.")
		}
	}
	if err := c.client.Bootstrap(c.ctx, p.ID, cfg); err != nil {
		undo()
		return refusedFor(p.Name, err)
	}
	return nil
}

// appliesTo tells which types look at a keyword; those that all look at are
// absent. hash is accepted everywhere, as scripts give it.
var appliesTo = map[string][]ipcp.Type{
	"ip": {ipcp.UDP4, ipcp.UDP6}, "dns": {ipcp.UDP4, ipcp.UDP6}, "port": {ipcp.UDP4, ipcp.UDP6},
	"mtu": {ipcp.UDP4, ipcp.UDP6}, "host": {ipcp.UDP4, ipcp.UDP6}, "hosts-file": {ipcp.UDP4, ipcp.UDP6},
	"device": {ipcp.EthDIX, ipcp.EthLLC}, "ethertype": {ipcp.EthDIX},
	"addr": {ipcp.Unicast}, "eid": {ipcp.Unicast}, "ttl": {ipcp.Unicast},
	"addr_auth": {ipcp.Unicast}, "directory": {ipcp.Unicast}, "routing": {ipcp.Unicast}, "congestion": {ipcp.Unicast},
	"dht_alpha": {ipcp.Unicast}, "dht_k": {ipcp.Unicast}, "dht_t_expire": {ipcp.Unicast},
	"dht_t_refresh": {ipcp.Unicast}, "dht_t_replicate": {ipcp.Unicast},
	"ls_t_timeo": {ipcp.Unicast}, "ls_t_update": {ipcp.Unicast}, "ls_t_recalc": {ipcp.Unicast},
}
