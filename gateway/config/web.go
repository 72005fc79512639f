// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"net/netip"

	"o7gw/gateway/web"
)

// webTable is [web]; nil is: not set.
type webTable struct {
	Listen *endpoint `toml:"listen"`
	Token  *string   `toml:"token"`
	Hosts  []string  `toml:"hosts"`
}

// minToken is the shortest token, bytes: 16 of 64 characters are 96 bits.
const minToken = 16

func (c *checker) web(in *webTable) *web.Config {
	t := c.table("web", 0)
	cfg := web.Defaults()
	if in.Listen != nil {
		cfg.Listen = netip.AddrPort(*in.Listen)
	}
	set(&cfg.Token, in.Token)
	cfg.Hosts = in.Hosts
	t.listens([]netip.AddrPort{cfg.Listen})
	switch {
	case in.Token != nil && len(cfg.Token) < minToken:
		t.bad("token", "must have %d characters or more", minToken)
	case cfg.Token == "" && !cfg.Listen.Addr().IsLoopback():
		t.bad("token", "is missing: %v is not the loopback interface, and everybody could read the status", cfg.Listen.Addr())
	}
	return &cfg
}
