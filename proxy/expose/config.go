// SPDX-License-Identifier: BSD-3-Clause

package expose

import (
	"fmt"
	"net"
	"reflect"
	"strconv"
	"time"

	"o7gw/proxy/health"
	"o7gw/proxy/policy"
)

// Config describes one expose. The package trusts what gateway/config has
// checked.
type Config struct {
	Name    string            // of the object
	Service string            // Ouroboros name
	TCP     map[uint16]string // service port to "host:port"
	UDP     map[uint16]string
	AnyTCP  string // host, each port of which is served; "": none
	AnyUDP  string
	Plain   bool // peers do not speak the session protocol: the only TCP service

	Policy      policy.Policy
	Limits      policy.Limits
	Health      health.Config
	IdleUDP     time.Duration
	DialTimeout time.Duration // of the local service
}

// Defaults returns a Config with the defaults of the configuration file.
func Defaults() Config {
	return Config{
		Policy:      policy.Policy{Default: true},
		Limits:      policy.Limits{Sessions: 16384},
		Health:      health.Defaults(),
		IdleUDP:     3 * time.Minute,
		DialTimeout: 5 * time.Second,
	}
}

// CheckTarget checks the "host:port" of a local service.
func CheckTarget(target string) error {
	host, port, err := net.SplitHostPort(target)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
		return fmt.Errorf("%q is no local service, such as 127.0.0.1:8080", target)
	}
	return nil
}

// needsRestart returns the keys in which n differs from c and which a running
// expose cannot change.
func (c *Config) needsRestart(n *Config) []string {
	var keys []string
	for _, k := range []struct {
		key      string
		old, now any
	}{
		{"service", c.Service, n.Service},
		{"plain", c.Plain, n.Plain},
		{"health", c.Health, n.Health},
	} {
		if !reflect.DeepEqual(k.old, k.now) {
			keys = append(keys, k.key)
		}
	}
	return keys
}
