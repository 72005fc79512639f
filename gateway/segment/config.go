// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"net/netip"
	"slices"
	"time"

	"o7gw/o7s/qos"
)

// Config describes one segment. At least one of Listen, Connect and Layer is
// set; the package trusts what gateway/config has checked.
type Config struct {
	Name    string   // of the segment, in logs and status
	Device  string   // name of the network interface
	Listen  []string // serve these Ouroboros names: members connect to them
	Connect []string // keep a flow to each of these names
	Layer   string   // broadcast layer that carries what goes to all

	Addresses []netip.Prefix // of the interface
	MTU       int            // of the interface, bytes: the same at all members
	Relay     bool           // carry frames from one flow to others

	MaxPeers  int           // flows that are accepted at a time
	MaxMACs   int           // addresses that are remembered
	Age       time.Duration // for which an address is remembered that is not heard
	FloodRate int           // frames per second from one port that go to all

	QoS          qos.Spec      // of the flows of Connect; its Timeout is the next field
	Timeout      time.Duration // silence after which a peer is dead
	ReconnectMin time.Duration
	ReconnectMax time.Duration
}

// Defaults returns a Config with the defaults of the configuration file.
func Defaults() Config {
	return Config{
		Device:       "o7seg%d",
		MTU:          1500,
		Relay:        true,
		MaxPeers:     256,
		MaxMACs:      4096,
		Age:          5 * time.Minute, // IEEE 802.1D
		FloodRate:    5000,
		QoS:          qos.Raw,
		Timeout:      15 * time.Second,
		ReconnectMin: 500 * time.Millisecond,
		ReconnectMax: 30 * time.Second,
	}
}

// flowQoS returns the specification of the flows of Connect.
func (c *Config) flowQoS() qos.Spec {
	qs := c.QoS
	qs.Timeout = uint32(c.Timeout.Milliseconds())
	return qs
}

// maxFrame returns the longest frame, in bytes, that the interface gives and
// takes: with two VLAN tags.
func (c *Config) maxFrame() int { return c.MTU + etherLen + 2*tagLen }

// macsPerPeer is how many addresses one flow may claim: a peer that makes up
// addresses must not push out those of all others.
func (c *Config) macsPerPeer() int { return max(1, c.MaxMACs/4) }

// keep replaces in n what a running segment cannot change, and returns the
// keys of that.
func (c *Config) keep(n *Config) []string {
	var keys []string
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"device", c.Device == n.Device},
		{"listen", slices.Equal(c.Listen, n.Listen)},
		{"connect", slices.Equal(c.Connect, n.Connect)},
		{"layer", c.Layer == n.Layer},
		{"address", slices.Equal(c.Addresses, n.Addresses)},
		{"max_macs", c.MaxMACs == n.MaxMACs},
	} {
		if !k.same {
			keys = append(keys, k.key)
		}
	}
	n.Device, n.Listen, n.Connect, n.Layer = c.Device, c.Listen, c.Connect, c.Layer
	n.Addresses, n.MaxMACs = c.Addresses, c.MaxMACs
	return keys
}
