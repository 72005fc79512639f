// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"net/netip"
	"time"

	"o7gw/proxy/names"
)

// namesTable is [names]; nil is: not set.
type namesTable struct {
	Zone     *string    `toml:"zone"`
	Listen   []endpoint `toml:"listen"`
	Upstream []endpoint `toml:"upstream"`
	V4       *string    `toml:"v4"`
	V6       *string    `toml:"v6"`
	TTL      *duration  `toml:"ttl"`
	Max      *int       `toml:"max"`
	Check    *bool      `toml:"check"`
	Resolved *bool      `toml:"resolved"`
}

// Names is the table [names].
type Names struct {
	names.Config
	Resolved bool // tell systemd-resolved of the zone, if it runs
}

func (c *checker) namesTable(in *namesTable) *Names {
	t := c.table("names", 0)
	cfg := &Names{Config: names.Defaults(), Resolved: true}
	set(&cfg.Zone, in.Zone)
	set(&cfg.Check, in.Check)
	set(&cfg.Resolved, in.Resolved)
	cfg.Listen = endpoints(in.Listen)
	for _, a := range cfg.Listen {
		t.socket("listen", "udp", a)
		t.socket("listen", "tcp", a)
	}
	cfg.Upstream = endpoints(in.Upstream)
	cfg.V4, cfg.V6 = t.addressRange("v4", in.V4, cfg.V4), t.addressRange("v6", in.V6, cfg.V6)
	t.duration("ttl", &cfg.TTL, in.TTL, 0, 24*time.Hour)
	t.number("max", "names", &cfg.Max, in.Max, 16, 1<<20)
	if _, err := names.NewPool(cfg.V4, cfg.V6, cfg.Max); err != nil {
		key := "v4"
		if in.V4 == nil && in.V6 != nil {
			key = "v6"
		}
		t.bad(key, "%v", err)
	}
	if err := names.CheckZone(cfg.Zone); err != nil {
		t.bad("zone", "%v", err)
	}
	return cfg
}

// addressRange reads a range; "" is none.
func (t *table) addressRange(key string, text *string, def netip.Prefix) netip.Prefix {
	if text == nil {
		return def
	}
	if *text == "" {
		return netip.Prefix{}
	}
	var p prefix
	if err := p.UnmarshalText([]byte(*text)); err != nil {
		t.bad(key, "%v", err)
		return def
	}
	return netip.Prefix(p)
}
