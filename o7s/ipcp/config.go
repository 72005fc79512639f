// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import (
	"net/netip"

	"o7gw/o7s/layer"
)

// Config is the bootstrap configuration of an IPC process (spec 40 §3.2, §4.3). Only
// the part of its type is looked at.
type Config struct {
	Type  Type
	Layer string         // layer name, 1–255 bytes
	Hash  layer.HashAlgo // directory hash; udp uses MD5 whatever stands here
	UDP   UDPConfig
	Eth   EthConfig
	// Unicast is set for type Unicast.
	Unicast UnicastConfig
}

// DefaultUDPPort is the port of udp4 and udp6 layers.
const DefaultUDPPort = 3435

// UDPConfig configures udp4 and udp6.
type UDPConfig struct {
	Addr netip.Addr // own address; not unspecified
	Port uint16     // all members of the layer use the same; 0: DefaultUDPPort
	DNS  netip.Addr // name server for dynamic updates; invalid: none
	// MTU is the largest IP packet, in bytes, to send without fragmentation;
	// 0: that of the device which has Addr.
	MTU int
	// Hosts maps service names to addresses of the members that serve them.
	Hosts map[string][]netip.Addr
	// HostsFile is a hosts(5) file with hex digests as names; empty:
	// /etc/hosts.
	HostsFile string
}

// DefaultEthertype is the Ethertype of eth-dix layers.
const DefaultEthertype = 0xA000

// EthConfig configures eth-dix and eth-llc.
type EthConfig struct {
	Device    string
	Ethertype uint16 // eth-dix only; 0: DefaultEthertype
}

// UnicastConfig configures a unicast IPC process. Zero values mean the
// defaults of spec 40 §3.2.
type UnicastConfig struct {
	AddrSize, EIDSize, MaxTTL        int
	AddrAuth, Directory              string
	Routing, Congestion              string
	LSTimeo, LSUpdate, LSRecalc      int // s
	DHTAlpha, DHTK                   int
	DHTExpire, DHTRefresh, DHTReplic int // s
}
