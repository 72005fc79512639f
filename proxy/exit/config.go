// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net/netip"
	"reflect"
	"time"

	"o7gw/proxy/policy"
)

// Config describes one exit. The package trusts what gateway/config has
// checked.
type Config struct {
	Name    string // of the object
	Service string // Ouroboros name
	Policy  policy.Policy
	Limits  policy.Limits

	Servers []netip.AddrPort // of DNS; none: as the system says
	// Own are prefixes that lead back into the gateway, such as those of its
	// synthetic addresses: who reaches services through them would do so under
	// the gateway's name. Like its addresses they are allowed only if named.
	Own []netip.Prefix

	IdleUDP     time.Duration
	DialTimeout time.Duration
}

// Defaults returns a Config with the defaults of the configuration file.
// Nothing is allowed.
func Defaults() Config {
	return Config{
		Limits:      policy.Limits{Sessions: 16384, SessionsPerPeer: 8192},
		IdleUDP:     3 * time.Minute,
		DialTimeout: 10 * time.Second,
	}
}

// needsRestart returns the keys in which n differs from c and which a running
// exit cannot change.
func (c *Config) needsRestart(n *Config) []string {
	var keys []string
	if c.Service != n.Service {
		keys = append(keys, "service")
	}
	if !reflect.DeepEqual(c.Servers, n.Servers) {
		keys = append(keys, "servers")
	}
	return keys
}
