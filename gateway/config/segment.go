// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"time"

	"o7gw/gateway/segment"
)

// segmentTable is one [[segment]]; nil is: not set.
type segmentTable struct {
	Name         *string   `toml:"name"`
	Device       *string   `toml:"device"`
	Listen       []string  `toml:"listen"`
	Connect      []string  `toml:"connect"`
	Layer        *string   `toml:"layer"`
	Address      []address `toml:"address"`
	MTU          *int      `toml:"mtu"`
	Relay        *bool     `toml:"relay"`
	MaxPeers     *int      `toml:"max_peers"`
	MaxMACs      *int      `toml:"max_macs"`
	Age          *duration `toml:"age"`
	FloodRate    *int      `toml:"flood_rate"`
	QoS          *string   `toml:"qos"`
	Timeout      *duration `toml:"timeout"`
	ReconnectMin *duration `toml:"reconnect_min"`
	ReconnectMax *duration `toml:"reconnect_max"`
}

func (c *checker) segment(i int, in *segmentTable) segment.Config {
	t := c.table("segment", i)
	cfg := segment.Defaults()
	cfg.Name = t.objectName(in.Name)
	set(&cfg.Device, in.Device)
	set(&cfg.Layer, in.Layer)
	set(&cfg.Relay, in.Relay)
	t.device(cfg.Device)
	cfg.Listen, cfg.Connect = in.Listen, in.Connect
	for _, s := range in.Listen {
		t.serve("listen", s)
	}
	for _, s := range in.Connect {
		t.service("connect", s)
	}
	if len(cfg.Listen)+len(cfg.Connect) == 0 && cfg.Layer == "" {
		t.bad("listen", "set listen, names to serve, connect, names of other members, or layer, a broadcast layer")
	}
	cfg.Addresses = addresses(in.Address)
	t.number("mtu", "bytes", &cfg.MTU, in.MTU, 576, 65000)
	t.number("max_peers", "peers", &cfg.MaxPeers, in.MaxPeers, 1, 65535)
	t.number("max_macs", "addresses", &cfg.MaxMACs, in.MaxMACs, 1, 1<<20)
	t.duration("age", &cfg.Age, in.Age, time.Second, 24*time.Hour)
	t.number("flood_rate", "frames per second", &cfg.FloodRate, in.FloodRate, 1, 1<<20)
	cfg.QoS = t.qos("qos", in.QoS, cfg.QoS)
	t.duration("timeout", &cfg.Timeout, in.Timeout, time.Second, time.Hour)
	t.pauses(&cfg.ReconnectMin, &cfg.ReconnectMax, in.ReconnectMin, in.ReconnectMax)
	return cfg
}
