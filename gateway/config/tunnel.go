// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"net/netip"
	"slices"
	"time"

	"o7gw/gateway/ip"
	"o7gw/gateway/tun"
	"o7gw/gateway/tunnel"
	"o7gw/o7s/qos"
)

// tunnelTable is one [[tunnel]]; nil is: not set.
type tunnelTable struct {
	Name         *string   `toml:"name"`
	Device       *string   `toml:"device"`
	Listen       *string   `toml:"listen"`
	Connect      *string   `toml:"connect"`
	Mode         *string   `toml:"mode"`
	Address      []address `toml:"address"`
	Announce     []prefix  `toml:"announce"`
	Allow        *[]prefix `toml:"allow"`
	Routes       *bool     `toml:"routes"`
	Relay        *bool     `toml:"relay"`
	MTU          *int      `toml:"mtu"`
	MSSClamp     *bool     `toml:"mss_clamp"`
	MaxPeers     *int      `toml:"max_peers"`
	QoS          *string   `toml:"qos"`
	Timeout      *duration `toml:"timeout"`
	ReconnectMin *duration `toml:"reconnect_min"`
	ReconnectMax *duration `toml:"reconnect_max"`
}

// tunnel checks the i-th table and turns it into a tunnel's configuration.
func (c *checker) tunnel(i int, in *tunnelTable) tunnel.Config {
	t := c.table("tunnel", i)
	cfg := tunnel.Defaults()
	cfg.Name = t.objectName(in.Name)
	set(&cfg.Device, in.Device)
	set(&cfg.Listen, in.Listen)
	set(&cfg.Connect, in.Connect)
	set(&cfg.Routes, in.Routes)
	set(&cfg.Relay, in.Relay)
	set(&cfg.MTU, in.MTU)
	set(&cfg.MSSClamp, in.MSSClamp)
	if in.Mode != nil {
		cfg.Plain = *in.Mode == "plain"
		if !cfg.Plain && *in.Mode != "o7gw" {
			t.bad("mode", "%q is none of o7gw, plain", *in.Mode)
		}
	}
	cfg.QoS = t.qos("qos", in.QoS, cfg.QoS)
	if cfg.Connect == "" && cfg.QoS != qos.Raw {
		t.bad("qos", "goes with connect: a server takes the QoS that its clients ask for")
	}
	cfg.Addresses = addresses(in.Address)
	cfg.Announce = prefixes(in.Announce)
	if in.Allow != nil {
		cfg.Allow = append([]netip.Prefix{}, prefixes(*in.Allow)...)
	}
	t.device(cfg.Device)
	switch {
	case cfg.Listen == "" && cfg.Connect == "":
		t.bad("listen", "set listen, the name to serve, or connect, the name of a server")
	case cfg.Listen != "" && cfg.Connect != "":
		t.bad("connect", "listen is set too: a tunnel is a server or a client")
	case cfg.Listen != "":
		t.serve("listen", cfg.Listen)
	default:
		t.service("connect", cfg.Connect)
	}
	if len(cfg.Addresses) == 0 && in.Allow == nil {
		t.bad("allow", "without address, allow must say which prefixes the peers may have")
	}
	if cfg.Plain && len(cfg.Announce) > 0 {
		t.bad("announce", `nothing is announced in mode = "plain"`)
	}
	if cfg.Plain && cfg.Relay {
		t.bad("relay", `there is one peer only in mode = "plain"`)
	}
	least := 576
	if slices.ContainsFunc(cfg.Addresses, func(a netip.Prefix) bool { return a.Addr().Is6() }) {
		least = ip.MinMTU6
	}
	if cfg.MTU != 0 && (cfg.MTU < least || cfg.MTU > tun.MaxMTU) {
		t.bad("mtu", "must be 0, or between %d and %d bytes, not %d", least, tun.MaxMTU, cfg.MTU)
	}
	t.number("max_peers", "peers", &cfg.MaxPeers, in.MaxPeers, 1, 65535)
	t.duration("timeout", &cfg.Timeout, in.Timeout, time.Second, time.Hour)
	t.pauses(&cfg.ReconnectMin, &cfg.ReconnectMax, in.ReconnectMin, in.ReconnectMax)
	return cfg
}

// pauses checks the limits of the pauses between attempts to connect.
func (t *table) pauses(least, most *time.Duration, inLeast, inMost *duration) {
	t.duration("reconnect_min", least, inLeast, 10*time.Millisecond, time.Hour)
	t.duration("reconnect_max", most, inMost, 10*time.Millisecond, 24*time.Hour)
	if *most < *least {
		t.bad("reconnect_max", "is less than reconnect_min, %v", *least)
	}
}
