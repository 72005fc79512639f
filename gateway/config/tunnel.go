// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"o7gw/gateway/ip"
	"o7gw/gateway/tun"
	"o7gw/gateway/tunnel"
	node "o7gw/o7s/irm/config"
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

// address is an address of an interface with the length of its network's
// prefix.
type address netip.Prefix

func (a *address) UnmarshalText(b []byte) error {
	p, err := netip.ParsePrefix(string(b))
	if err != nil || p.Addr().Is4In6() {
		return fmt.Errorf("%q is no address with prefix length, such as 10.0.0.1/24 or fd00::1/64", b)
	}
	if p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
		return fmt.Errorf("%q is no address for an interface", b)
	}
	*a = address(p)
	return nil
}

// prefix is a range of addresses.
type prefix netip.Prefix

func (x *prefix) UnmarshalText(b []byte) error {
	p, err := netip.ParsePrefix(string(b))
	if err != nil || p.Addr().Is4In6() {
		return fmt.Errorf("%q is no prefix, such as 192.168.7.0/24 or fd00:7::/48", b)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits behind the prefix: did you mean %s?", b, p.Masked())
	}
	*x = prefix(p)
	return nil
}

// duration is a time with a unit.
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration, such as 500ms, 15s or 2m", b)
	}
	*d = duration(v)
	return nil
}

// maxService is the longest Ouroboros name, bytes (spec 40 §0.1).
const maxService = 255

// deviceName is what Linux takes, less some characters that confuse people.
var deviceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

// checker collects the mistakes that the decoder cannot see.
type checker struct {
	file   string
	places []tablePlaces
	errs   []error
}

func (c *checker) errorf(at place, key, format string, args ...any) {
	c.errs = append(c.errs, &node.Error{File: c.file, Line: at.line, Column: at.column, Key: key, Msg: fmt.Sprintf(format, args...)})
}

// tunnel checks the i-th table and turns it into a tunnel's configuration.
func (c *checker) tunnel(i int, t *tunnelTable, before []tunnel.Config) tunnel.Config {
	cfg := tunnel.Defaults()
	// A table that was written inline has no place of its own.
	var at tablePlaces
	if i < len(c.places) {
		at = c.places[i]
	} else {
		at.at = place{1, 1}
	}
	bad := func(key, format string, args ...any) {
		p, ok := at.keys[key]
		if !ok {
			p = at.at
		}
		c.errorf(p, "tunnel."+key, format, args...)
	}
	set(&cfg.Name, t.Name)
	set(&cfg.Device, t.Device)
	set(&cfg.Listen, t.Listen)
	set(&cfg.Connect, t.Connect)
	set(&cfg.Routes, t.Routes)
	set(&cfg.Relay, t.Relay)
	set(&cfg.MTU, t.MTU)
	set(&cfg.MSSClamp, t.MSSClamp)
	set(&cfg.MaxPeers, t.MaxPeers)
	if t.Mode != nil {
		cfg.Plain = *t.Mode == "plain"
		if !cfg.Plain && *t.Mode != "o7gw" {
			bad("mode", "%q is none of o7gw, plain", *t.Mode)
		}
	}
	if t.QoS != nil {
		var err error
		if cfg.QoS, err = qos.Parse(*t.QoS); err != nil {
			bad("qos", "%q is none of raw, best, video, voice, data", *t.QoS)
		} else if cfg.Connect == "" && cfg.QoS != qos.Raw {
			bad("qos", "goes with connect: a server takes the QoS that its clients ask for")
		}
	}
	for _, a := range t.Address {
		cfg.Addresses = append(cfg.Addresses, netip.Prefix(a))
	}
	cfg.Announce = prefixes(t.Announce)
	if t.Allow != nil {
		cfg.Allow = append([]netip.Prefix{}, prefixes(*t.Allow)...)
	}
	if cfg.Name == "" {
		bad("name", "is missing: it tells tunnels apart in logs, status and reload")
	} else if slices.ContainsFunc(before, func(b tunnel.Config) bool { return b.Name == cfg.Name }) {
		bad("name", "%q is the name of an earlier tunnel", cfg.Name)
	}
	c.ends(&cfg, before, bad)
	c.network(&cfg, t, bad)
	timers(&cfg, t, bad)
	return cfg
}

// ends checks what the tunnel joins: service name and interface.
func (c *checker) ends(cfg *tunnel.Config, before []tunnel.Config, bad func(key, format string, args ...any)) {
	switch {
	case cfg.Listen == "" && cfg.Connect == "":
		bad("listen", "set listen, the name to serve, or connect, the name of a server")
	case cfg.Listen != "" && cfg.Connect != "":
		bad("connect", "listen is set too: a tunnel is a server or a client")
	case len(cfg.Listen) > maxService:
		bad("listen", "the name is longer than %d bytes", maxService)
	case len(cfg.Connect) > maxService:
		bad("connect", "the name is longer than %d bytes", maxService)
	}
	bare := strings.Replace(cfg.Device, "%d", "0", 1)
	if !deviceName.MatchString(bare) {
		bad("device", "%q is no name of a network interface: 1 to 15 of A-Z a-z 0-9 _ . -, and once %%d for a number", cfg.Device)
	}
	for _, b := range before {
		if b.Device == cfg.Device && !strings.Contains(cfg.Device, "%d") {
			bad("device", "tunnel %s has %s already", b.Name, cfg.Device)
		}
		if b.Listen == cfg.Listen && cfg.Listen != "" {
			bad("listen", "tunnel %s serves %s already", b.Name, cfg.Listen)
		}
	}
}

func (c *checker) network(cfg *tunnel.Config, t *tunnelTable, bad func(key, format string, args ...any)) {
	if len(cfg.Addresses) == 0 && t.Allow == nil {
		bad("allow", "without address, allow must say which prefixes the peers may have")
	}
	if cfg.Plain && len(cfg.Announce) > 0 {
		bad("announce", `nothing is announced in mode = "plain"`)
	}
	if cfg.Plain && cfg.Relay {
		bad("relay", `there is one peer only in mode = "plain"`)
	}
	least := 576
	if slices.ContainsFunc(cfg.Addresses, func(a netip.Prefix) bool { return a.Addr().Is6() }) {
		least = ip.MinMTU6
	}
	if cfg.MTU != 0 && (cfg.MTU < least || cfg.MTU > tun.MaxMTU) {
		bad("mtu", "must be 0, or between %d and %d bytes, not %d", least, tun.MaxMTU, cfg.MTU)
	}
	if cfg.MaxPeers < 1 || cfg.MaxPeers > 65535 {
		bad("max_peers", "must be between 1 and 65535, not %d", cfg.MaxPeers)
	}
}

func timers(cfg *tunnel.Config, t *tunnelTable, bad func(key, format string, args ...any)) {
	for _, d := range []struct {
		key  string
		dst  *time.Duration
		from *duration
		lo   time.Duration
		hi   time.Duration
	}{
		{"timeout", &cfg.Timeout, t.Timeout, time.Second, time.Hour},
		{"reconnect_min", &cfg.ReconnectMin, t.ReconnectMin, 10 * time.Millisecond, time.Hour},
		{"reconnect_max", &cfg.ReconnectMax, t.ReconnectMax, 10 * time.Millisecond, 24 * time.Hour},
	} {
		if d.from == nil {
			continue
		}
		*d.dst = time.Duration(*d.from)
		if *d.dst < d.lo || *d.dst > d.hi {
			bad(d.key, "must be between %v and %v, not %v", d.lo, d.hi, *d.dst)
		}
	}
	if cfg.ReconnectMax < cfg.ReconnectMin {
		bad("reconnect_max", "is less than reconnect_min, %v", cfg.ReconnectMin)
	}
}

func set[T any](dst, from *T) {
	if from != nil {
		*dst = *from
	}
}

func prefixes(in []prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range in {
		out = append(out, netip.Prefix(p))
	}
	return out
}
