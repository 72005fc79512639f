// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"net/netip"
	"slices"
	"time"

	"o7gw/gateway/intercept"
	"o7gw/gateway/ip"
)

// interceptTable is one [[intercept]]; nil is: not set.
type interceptTable struct {
	Name         *string   `toml:"name"`
	Device       *string   `toml:"device"`
	Address      []address `toml:"address"`
	Prefixes     []prefix  `toml:"prefixes"`
	Exits        []string  `toml:"exits"`
	Names        *bool     `toml:"names"`
	From         []prefix  `toml:"from"`
	Iif          []string  `toml:"iif"`
	MTU          *int      `toml:"mtu"`
	MaxSessions  *int      `toml:"max_sessions"`
	MaxPerSource *int      `toml:"max_per_source"`
	MaxHalfOpen  *int      `toml:"max_half_open"`
	IdleUDP      *duration `toml:"idle_udp"`
}

// maxInterceptMTU is the largest MTU of an interface that ends in netstack,
// bytes: that of a loopback interface less what no packet needs.
const maxInterceptMTU = 65520

func (c *checker) intercept(i int, in *interceptTable) intercept.Config {
	t := c.table("intercept", i)
	cfg := intercept.Defaults()
	cfg.Name = t.objectName(in.Name)
	set(&cfg.Device, in.Device)
	set(&cfg.Names, in.Names)
	t.device(cfg.Device)
	cfg.Addresses = addresses(in.Address)
	cfg.Prefixes = prefixes(in.Prefixes)
	cfg.From = prefixes(in.From)
	cfg.Exits, cfg.Iif = in.Exits, in.Iif
	for _, e := range in.Exits {
		t.service("exits", e)
	}
	for _, name := range in.Iif {
		if !deviceName.MatchString(name) {
			t.bad("iif", "%q is no name of a network interface", name)
		}
	}
	if len(cfg.Prefixes) == 0 && !cfg.Names {
		t.bad("prefixes", "set prefixes, the destinations to take, or names = true")
	}
	if len(cfg.Exits) > 0 && len(cfg.Prefixes) == 0 {
		t.bad("exits", "needs prefixes: the destinations beyond them")
	}
	if i := slices.IndexFunc(cfg.Prefixes, netip.Prefix.IsSingleIP); i >= 0 && cfg.Prefixes[i].Addr().IsUnspecified() {
		t.bad("prefixes", "%v is no destination", cfg.Prefixes[i])
	}
	t.number("mtu", "bytes", &cfg.MTU, in.MTU, ip.MinMTU6, maxInterceptMTU)
	t.number("max_sessions", "sessions", &cfg.MaxSessions, in.MaxSessions, 1, 1<<20)
	t.number("max_per_source", "sessions", &cfg.MaxPerSource, in.MaxPerSource, 1, 1<<20)
	t.number("max_half_open", "connections", &cfg.MaxHalfOpen, in.MaxHalfOpen, 1, 1<<16)
	t.duration("idle_udp", &cfg.IdleUDP, in.IdleUDP, time.Second, 24*time.Hour)
	return cfg
}
