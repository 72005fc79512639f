// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"o7gw/proxy/exit"
	"o7gw/proxy/expose"
	"o7gw/proxy/health"
	"o7gw/proxy/policy"
)

// limits are the keys that bound the sessions of an expose or an exit.
type limits struct {
	MaxSessions *int     `toml:"max_sessions"`
	MaxPerPeer  *int     `toml:"max_per_peer"`
	Rate        *float64 `toml:"rate"`
	Burst       *int     `toml:"burst"`
}

func (t *table) limits(l *policy.Limits, in *limits) {
	t.number("max_sessions", "sessions", &l.Sessions, in.MaxSessions, 1, 1<<20)
	t.number("max_per_peer", "sessions", &l.SessionsPerPeer, in.MaxPerPeer, 1, 1<<20)
	t.number("burst", "sessions", &l.Burst, in.Burst, 1, 1<<20)
	if in.Rate != nil {
		if l.Rate = *in.Rate; l.Rate <= 0 || l.Rate > 1e6 {
			t.bad("rate", "must be above 0 and at most 1000000 sessions per second, not %v", l.Rate)
		}
	}
}

// ruleTable is one rule of allow; nil is: not set.
type ruleTable struct {
	Peers     []string `toml:"peers"`
	Layers    []string `toml:"layers"`
	Hosts     []string `toml:"hosts"`
	Targets   []prefix `toml:"targets"`
	Ports     *string  `toml:"ports"`
	Protocols []string `toml:"protocols"`
}

func (t *table) allow(in []ruleTable) []policy.Rule {
	var out []policy.Rule
	for i := range in {
		r := &in[i]
		out = append(out, policy.Rule{
			Peers: r.Peers, Layers: r.Layers, Hosts: r.Hosts, Targets: prefixes(r.Targets),
			Ports: t.ports("allow", r.Ports), Protos: t.protocols("allow", r.Protocols),
		})
	}
	return out
}

// exposeTable is one [[expose]]; nil is: not set.
type exposeTable struct {
	Name    *string           `toml:"name"`
	Service string            `toml:"service"`
	TCP     map[string]string `toml:"tcp"`
	UDP     map[string]string `toml:"udp"`
	AnyTCP  *string           `toml:"any_tcp"`
	AnyUDP  *string           `toml:"any_udp"`
	Plain   *bool             `toml:"plain"`
	Allow   *[]ruleTable      `toml:"allow"`
	limits
	Health         *string   `toml:"health"`
	HealthInterval *duration `toml:"health_interval"`
	HealthTimeout  *duration `toml:"health_timeout"`
	HealthRise     *int      `toml:"health_rise"`
	HealthFall     *int      `toml:"health_fall"`
	IdleUDP        *duration `toml:"idle_udp"`
	DialTimeout    *duration `toml:"dial_timeout"`
}

func (c *checker) expose(i int, in *exposeTable) expose.Config {
	t := c.table("expose", i)
	cfg := expose.Defaults()
	cfg.Name = t.objectName(in.Name)
	cfg.Service = in.Service
	t.serve("service", in.Service)
	cfg.TCP, cfg.UDP = t.targets("tcp", in.TCP), t.targets("udp", in.UDP)
	set(&cfg.AnyTCP, in.AnyTCP)
	set(&cfg.AnyUDP, in.AnyUDP)
	set(&cfg.Plain, in.Plain)
	switch {
	case len(cfg.TCP)+len(cfg.UDP) == 0 && cfg.AnyTCP == "" && cfg.AnyUDP == "":
		t.bad("tcp", `is missing: what serves the name, such as tcp = { "80" = "127.0.0.1:8080" }`)
	case cfg.Plain && (len(cfg.TCP) != 1 || len(cfg.UDP) > 0 || cfg.AnyTCP != "" || cfg.AnyUDP != ""):
		t.bad("plain", "goes with one TCP service and nothing else: peers cannot say which they mean")
	}
	if in.Allow != nil {
		cfg.Policy = policy.Policy{Allow: t.allow(*in.Allow)}
		for i := range cfg.Policy.Allow {
			if r := &cfg.Policy.Allow[i]; len(r.Targets)+len(r.Hosts) > 0 {
				t.bad("allow", "targets and hosts are for exits: peers of an expose name none")
			}
		}
	}
	t.limits(&cfg.Limits, &in.limits)
	t.health(&cfg.Health, in)
	t.duration("idle_udp", &cfg.IdleUDP, in.IdleUDP, time.Second, 24*time.Hour)
	t.duration("dial_timeout", &cfg.DialTimeout, in.DialTimeout, 10*time.Millisecond, time.Minute)
	return cfg
}

// targets reads ports and what serves them.
func (t *table) targets(key string, in map[string]string) map[uint16]string {
	if len(in) == 0 {
		return nil
	}
	out := map[uint16]string{}
	for _, port := range slices.Sorted(maps.Keys(in)) {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			t.bad(key, "%q is no port: 1 to 65535", port)
			continue
		}
		if err := expose.CheckTarget(in[port]); err != nil {
			t.bad(key, "%v", err)
		}
		out[uint16(n)] = in[port]
	}
	return out
}

func (t *table) health(h *health.Config, in *exposeTable) {
	if in.Health != nil {
		switch v := *in.Health; {
		case v == "tcp":
			h.TCP = true
		case len(v) > 0 && v[0] == '/':
			h.HTTP = v
		default:
			t.bad("health", `%q is neither "tcp" nor the path of a page, such as "/healthy"`, v)
		}
		if len(in.TCP) == 0 {
			t.bad("health", "needs tcp: the lowest port is checked")
		}
	}
	t.duration("health_interval", &h.Interval, in.HealthInterval, 10*time.Millisecond, time.Hour)
	t.duration("health_timeout", &h.Timeout, in.HealthTimeout, 10*time.Millisecond, time.Hour)
	t.number("health_rise", "checks", &h.Rise, in.HealthRise, 1, 1000)
	t.number("health_fall", "checks", &h.Fall, in.HealthFall, 1, 1000)
}

// exitTable is one [[exit]]; nil is: not set.
type exitTable struct {
	Name    *string     `toml:"name"`
	Service string      `toml:"service"`
	Allow   []ruleTable `toml:"allow"`
	limits
	Servers     []endpoint `toml:"servers"`
	IdleUDP     *duration  `toml:"idle_udp"`
	DialTimeout *duration  `toml:"dial_timeout"`
}

func (c *checker) exit(i int, in *exitTable) exit.Config {
	t := c.table("exit", i)
	cfg := exit.Defaults()
	cfg.Name = t.objectName(in.Name)
	cfg.Service = in.Service
	t.serve("service", in.Service)
	if len(in.Allow) == 0 {
		t.bad("allow", `is missing: nothing would be let out; for everything but the machine itself: allow = [{ targets = ["0.0.0.0/0", "::/0"] }]`)
	}
	cfg.Policy = policy.Policy{Allow: t.allow(in.Allow)}
	t.limits(&cfg.Limits, &in.limits)
	cfg.Servers = endpoints(in.Servers)
	t.duration("idle_udp", &cfg.IdleUDP, in.IdleUDP, time.Second, 24*time.Hour)
	t.duration("dial_timeout", &cfg.DialTimeout, in.DialTimeout, 10*time.Millisecond, time.Minute)
	return cfg
}
