// SPDX-License-Identifier: BSD-3-Clause

package expose

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"o7gw/proxy/health"
	"o7gw/proxy/policy"
	"o7gw/proxy/session"
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
		Limits:      policy.Limits{Sessions: 16384, SessionsPerPeer: 8192},
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

// checked reports whether there are health checks.
func (c *Config) checked() bool { return c.Health.Enabled() && len(c.TCP) > 0 }

// target returns the local service of a request, and its port as peers know it.
func (c *Config) target(r *session.Request) (at string, port uint16, s session.Status) {
	ports, host := c.TCP, c.AnyTCP
	if r.Proto == session.UDP {
		ports, host = c.UDP, c.AnyUDP
	}
	switch {
	case r.Host != "" || r.Addr.IsValid():
		return "", 0, session.Denied // this is no exit
	case r.Port == 0 && len(ports) > 0:
		port, at = first(ports)
		return at, port, session.OK
	case ports[r.Port] != "":
		return ports[r.Port], r.Port, session.OK
	case r.Port != 0 && host != "":
		return net.JoinHostPort(host, strconv.Itoa(int(r.Port))), r.Port, session.OK
	}
	return "", 0, session.Refused
}

// first returns the lowest port and what serves it.
func first(ports map[uint16]string) (port uint16, at string) {
	for p, a := range ports {
		if at == "" || p < port {
			port, at = p, a
		}
	}
	return port, at
}

// needsRestart returns the keys in which n differs from c and which a running
// expose cannot change.
func (c *Config) needsRestart(n *Config) (keys []string) {
	if c.Service != n.Service {
		keys = append(keys, "service")
	}
	if c.Plain != n.Plain {
		keys = append(keys, "plain")
	}
	return keys
}
