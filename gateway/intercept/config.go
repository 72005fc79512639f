// SPDX-License-Identifier: BSD-3-Clause

package intercept

import (
	"net/netip"
	"reflect"
	"time"
)

// Config describes one intercept. The package trusts what gateway/config has
// checked.
type Config struct {
	Name      string         // of the object, in logs and status
	Device    string         // name of the network interface
	MTU       int            // of the interface, bytes
	Addresses []netip.Prefix // of the interface, beside the one that Names brings
	Prefixes  []netip.Prefix // destinations that are taken
	Exits     []string       // services that reach Prefixes, in order of preference; empty: as the routes say
	Names     bool           // take the ranges of [names], and answer its DNS queries there

	// With one of these only forwarded packets are taken: of these sources, or
	// from these interfaces.
	From []netip.Prefix
	Iif  []string

	MaxSessions  int // TCP and UDP, each
	MaxPerSource int // of one address, TCP and UDP, each
	MaxHalfOpen  int // TCP connections that wait for their flow
	IdleUDP      time.Duration
}

// Defaults returns a Config with the defaults of the configuration file.
func Defaults() Config {
	return Config{
		Device:       "o7i%d",
		MTU:          65520,
		MaxSessions:  16384,
		MaxPerSource: 8192,
		MaxHalfOpen:  1024,
		IdleUDP:      3 * time.Minute,
	}
}

// needsRestart returns the keys in which n differs from c and which a running
// intercept cannot change.
func (c *Config) needsRestart(n *Config) []string {
	var keys []string
	for _, k := range []struct {
		key      string
		old, now any
	}{
		{"device", c.Device, n.Device},
		{"mtu", c.MTU, n.MTU},
		{"address", c.Addresses, n.Addresses},
		{"prefixes", c.Prefixes, n.Prefixes},
		{"names", c.Names, n.Names},
		{"from", c.From, n.From},
		{"iif", c.Iif, n.Iif},
		{"max_sessions", c.MaxSessions, n.MaxSessions},
		{"max_per_source", c.MaxPerSource, n.MaxPerSource},
		{"max_half_open", c.MaxHalfOpen, n.MaxHalfOpen},
	} {
		if !reflect.DeepEqual(k.old, k.now) {
			keys = append(keys, k.key)
		}
	}
	return keys
}
