// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// bootstrapConfig turns the words of a user into the configuration of a type.
func (c *call) bootstrapConfig(kind ipcp.Type, w words) (ipcp.Config, error) {
	cfg := ipcp.Config{Type: kind, Layer: w.last("layer"), Hash: layer.SHA3_256}
	if w.has("hash") && kind != ipcp.Broadcast { // which has no choice
		h, err := layer.ParseHashAlgo(w.last("hash"))
		if err != nil {
			return cfg, unknownParameter("hash", w)
		}
		cfg.Hash = h
	}
	var err error
	switch kind {
	case ipcp.UDP4, ipcp.UDP6:
		err = c.udpConfig(&cfg.UDP, kind, w)
	case ipcp.EthDIX, ipcp.EthLLC:
		err = c.ethConfig(&cfg.Eth, kind, w)
	case ipcp.Unicast:
		err = unicastConfig(&cfg.Unicast, w)
	}
	return cfg, err
}

func unknownParameter(key string, w words) error {
	return failf(`Unknown parameter for %s: "%s".`, key, w.last(key))
}

// number reads a keyword with a decimal value between lo and hi; dst keeps its
// value if the keyword is absent.
func number(dst *int, w words, key string, lo, hi int) error {
	if !w.has(key) {
		return nil
	}
	n, err := strconv.Atoi(w.last(key))
	if err != nil || n < lo || n > hi {
		return failf("%w\nirm: a number from %d to %d is wanted.", unknownParameter(key, w), lo, hi)
	}
	*dst = n
	return nil
}

func (c *call) udpConfig(u *ipcp.UDPConfig, kind ipcp.Type, w words) error {
	if !w.has("ip") {
		return c.misuse("The keyword ip is needed.")
	}
	var err error
	if u.Addr, err = c.address(kind, w.last("ip")); err != nil {
		return err
	}
	if u.Addr.IsUnspecified() {
		return failf("Cannot use %s address: %s.", family(kind), u.Addr)
	}
	if w.has("dns") {
		if u.DNS, err = c.address(kind, w.last("dns")); err != nil {
			return err
		}
	}
	port := ipcp.DefaultUDPPort
	if err := number(&port, w, "port", 1, 65535); err != nil {
		return err
	}
	u.Port = uint16(port)
	minMTU := 576 // bytes, what every IPv4 host takes
	if kind == ipcp.UDP6 {
		minMTU = 1280 // what every IPv6 link carries
	}
	if err := number(&u.MTU, w, "mtu", minMTU, 65535); err != nil {
		return err
	}
	if w.has("hosts-file") { // the daemon has another working directory
		if u.HostsFile, err = filepath.Abs(w.last("hosts-file")); err != nil {
			return failf("Failed to check path %s: %w", w.last("hosts-file"), err)
		}
	}
	for _, h := range w["host"] {
		service, text, ok := cutLast(h, "=")
		if !ok || service == "" {
			return c.misuse(`Invalid host: "%s", it must be <service>=<address>.`, h)
		}
		a, err := c.address(kind, text)
		if err != nil {
			return err
		}
		if u.Hosts == nil {
			u.Hosts = map[string][]netip.Addr{}
		}
		u.Hosts[service] = append(u.Hosts[service], a)
	}
	return nil
}

// cutLast cuts at the last separator: a service name may contain it, an address
// does not.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func family(kind ipcp.Type) string {
	if kind == ipcp.UDP6 {
		return "IPv6"
	}
	return "IPv4"
}

func (c *call) address(kind ipcp.Type, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Is4() != (kind == ipcp.UDP4) || a.Is4In6() {
		return netip.Addr{}, c.misuse(`Invalid %s address: "%s".`, family(kind), s)
	}
	return a, nil
}

func (c *call) ethConfig(e *ipcp.EthConfig, kind ipcp.Type, w words) error {
	e.Device = w.last("device")
	switch {
	case e.Device == "":
		return c.misuse("The keyword dev is needed.")
	case len(e.Device) > maxName:
		return failf("Device name too long.")
	}
	if kind != ipcp.EthDIX {
		return nil
	}
	e.Ethertype = ipcp.DefaultEthertype
	if w.has("ethertype") {
		text := w.last("ethertype")
		hex := strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
		n, err := strconv.ParseUint(hex, 16, 16)
		if err != nil || n < 0x0600 || n == 0xFFFF {
			return failf("Invalid Ethertype: \"%s\".\nRecommended range: 0xA000-0xEFFF.", text)
		}
		e.Ethertype = uint16(n)
	}
	return nil
}

func unicastConfig(u *ipcp.UnicastConfig, w words) error {
	for _, n := range []struct {
		dst    *int
		key    string
		lo, hi int
	}{
		{&u.AddrSize, "addr", 1, 8}, {&u.EIDSize, "eid", 1, 8}, {&u.MaxTTL, "ttl", 1, 255},
		{&u.LSTimeo, "ls_t_timeo", 1, 86400}, {&u.LSUpdate, "ls_t_update", 1, 86400}, {&u.LSRecalc, "ls_t_recalc", 1, 86400},
		{&u.DHTAlpha, "dht_alpha", 1, 10}, {&u.DHTK, "dht_k", 1, 20}, {&u.DHTExpire, "dht_t_expire", 10, 86400},
		{&u.DHTRefresh, "dht_t_refresh", 3, 3600}, {&u.DHTReplic, "dht_t_replicate", 3, 3600},
	} {
		if err := number(n.dst, w, n.key, n.lo, n.hi); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		dst   *string
		key   string
		known []string
	}{
		{&u.AddrAuth, "addr_auth", []string{"flat"}},
		{&u.Directory, "directory", []string{"DHT"}},
		{&u.Routing, "routing", []string{"link_state", "lfa", "ecmp"}},
		{&u.Congestion, "congestion", []string{"mb-ecn", "none"}},
	} {
		if !w.has(p.key) {
			continue
		}
		if !slices.Contains(p.known, w.last(p.key)) {
			return unknownParameter(p.key, w)
		}
		*p.dst = w.last(p.key)
	}
	return nil
}

// warnUnused tells which words have no effect for a type.
func (c *call) warnUnused(kind ipcp.Type, w words) {
	for _, k := range bootstrapKeywords {
		if types, some := appliesTo[k.name]; some && w.has(k.name) && !slices.Contains(types, kind) {
			c.warn("irm: %s means nothing to a %s IPCP: ignored.", k.name, kind)
		}
	}
}
