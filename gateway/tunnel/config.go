// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"net/netip"
	"slices"
	"time"

	"o7gw/o7s/qos"
)

// Config describes one tunnel. Listen or Connect is set, not both; the
// package trusts what gateway/config has checked.
type Config struct {
	Name    string // of the tunnel, in logs and status
	Device  string // name of the network interface
	Listen  string // serve this Ouroboros name
	Connect string // or connect to this one
	Plain   bool   // one peer, no control packets: speaks with ovpn

	Addresses []netip.Prefix // of the interface, with prefix length
	Announce  []netip.Prefix // behind this gateway, beside Addresses
	Allow     []netip.Prefix // what peers may announce and send from; nil: the networks of Addresses
	Routes    bool           // give the kernel routes for what peers announce
	Relay     bool           // carry packets from peer to peer without the kernel

	MTU      int // of the interface, bytes; 0: follow the flows
	MSSClamp bool
	MaxPeers int // of a server

	QoS          qos.Spec      // of a client's flow; its Timeout is the next field
	Timeout      time.Duration // silence after which a peer is dead
	ReconnectMin time.Duration
	ReconnectMax time.Duration
}

// Defaults returns a Config with the defaults of the configuration file.
func Defaults() Config {
	return Config{
		Device:       "o7gw%d",
		Routes:       true,
		MSSClamp:     true,
		MaxPeers:     256,
		QoS:          qos.Raw,
		Timeout:      15 * time.Second,
		ReconnectMin: 500 * time.Millisecond,
		ReconnectMax: 30 * time.Second,
	}
}

// FlowQoS returns the specification of a client's flow.
func (c *Config) FlowQoS() qos.Spec {
	qs := c.QoS
	qs.Timeout = uint32(c.Timeout.Milliseconds())
	return qs
}

// allowed returns what a peer may announce.
func (c *Config) allowed() []netip.Prefix {
	if c.Allow != nil {
		return c.Allow
	}
	return c.onLink()
}

// onLink returns the networks of the interface's addresses.
func (c *Config) onLink() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range c.Addresses {
		out = append(out, a.Masked())
	}
	return out
}

// announced returns what is announced to peers: the interface's own addresses
// and what is behind them.
func (c *Config) announced() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range c.Addresses {
		out = append(out, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
	}
	for _, p := range c.Announce {
		out = append(out, p.Masked())
	}
	return out
}

// isOwn reports whether p is an address of the interface, or lies within it:
// no peer may claim it.
func (c *Config) isOwn(p netip.Prefix) bool {
	return p.IsSingleIP() && slices.ContainsFunc(c.Addresses, func(a netip.Prefix) bool { return a.Addr() == p.Addr() })
}

// source returns the address from which ICMP errors of the family come. A
// gateway without IPv4 address uses the dummy address of RFC 7600.
func (c *Config) source(version uint8) netip.Addr {
	for _, a := range c.Addresses {
		if a.Addr().Is4() == (version == 4) {
			return a.Addr()
		}
	}
	if version == 4 {
		return netip.AddrFrom4([4]byte{192, 0, 0, 8})
	}
	return netip.Addr{}
}

// needsRestart returns the keys in which n differs from c and which a running
// tunnel cannot change.
func (c *Config) needsRestart(n *Config) []string {
	var keys []string
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"device", c.Device == n.Device},
		{"listen", c.Listen == n.Listen},
		{"connect", c.Connect == n.Connect},
		{"mode", c.Plain == n.Plain},
		{"address", slices.Equal(c.Addresses, n.Addresses)},
	} {
		if !k.same {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// intersect returns the prefixes that lie in both sets.
func intersect(a, b []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range a {
		for _, q := range b {
			if p.Overlaps(q) {
				if q.Bits() > p.Bits() {
					out = append(out, q)
				} else {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// covered reports whether p lies within one of the set.
func covered(p netip.Prefix, set []netip.Prefix) bool {
	return slices.ContainsFunc(set, func(q netip.Prefix) bool {
		return q.Overlaps(p) && q.Bits() <= p.Bits()
	})
}
