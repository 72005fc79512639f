// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"fmt"
	"math"
	"net/netip"

	"o7gw/o7s/flow"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

func termsToPB(f *irmpb.Flow, t flow.Terms) {
	f.Direct, f.Server, f.PeerCaps, f.Shim = t.Direct, t.Server, uint32(t.PeerCaps), t.Shim
	f.Cipher, f.Key, f.Peer, f.Layer = uint32(t.Cipher), t.Key, []byte(t.Peer), []byte(t.Layer)
}

func termsFromPB(f *irmpb.Flow) flow.Terms {
	return flow.Terms{
		Direct: f.GetDirect(), Server: f.GetServer(), PeerCaps: layer.Caps(f.GetPeerCaps()), Shim: f.GetShim(),
		Cipher: uint16(f.GetCipher()), Key: f.GetKey(), Peer: string(f.GetPeer()), Layer: string(f.GetLayer()),
	}
}

func qosToPB(s qos.Spec) *irmpb.QoS {
	return &irmpb.QoS{
		Delay: s.Delay, Bandwidth: s.Bandwidth, Availability: uint32(s.Availability), Loss: s.Loss,
		Ber: s.BER, InOrder: uint32(s.InOrder), MaxGap: s.MaxGap, Timeout: s.Timeout,
	}
}

func qosFromPB(p *irmpb.QoS) qos.Spec {
	return qos.Spec{
		Delay: p.GetDelay(), Bandwidth: p.GetBandwidth(), Availability: clamp8(p.GetAvailability()), Loss: p.GetLoss(),
		BER: p.GetBer(), InOrder: clamp8(p.GetInOrder()), MaxGap: p.GetMaxGap(), Timeout: p.GetTimeout(),
	}
}

// clamp8 brings a number from a message into a byte, so that a large one does
// not turn into 0.
func clamp8(v uint32) uint8 { return uint8(min(v, math.MaxUint8)) }

func addrToPB(a netip.Addr) []byte { return a.WithZone("").AsSlice() }

// addrFromPB takes 4 or 16 bytes, or none for no address.
func addrFromPB(b, zone []byte) (netip.Addr, error) {
	if len(b) == 0 {
		return netip.Addr{}, nil
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return a, fmt.Errorf("address of %d bytes: %w", len(b), layer.ErrInvalid)
	}
	if len(zone) > 0 && a.Is6() {
		a = a.WithZone(string(zone))
	}
	return a, nil
}

func configToPB(id int, c ipcp.Config) *irmpb.Bootstrap {
	b := &irmpb.Bootstrap{
		Ipcp:  int64(id),
		Type:  uint32(c.Type),
		Layer: []byte(c.Layer),
		Hash:  uint32(c.Hash),
	}
	switch c.Type {
	case ipcp.UDP4, ipcp.UDP6:
		b.Udp = &irmpb.UDP{
			Addr: addrToPB(c.UDP.Addr), Zone: []byte(c.UDP.Addr.Zone()), Port: uint32(c.UDP.Port),
			Dns: addrToPB(c.UDP.DNS), Mtu: int64(c.UDP.MTU), HostsFile: []byte(c.UDP.HostsFile),
		}
		for name, addrs := range c.UDP.Hosts {
			h := &irmpb.Host{Name: []byte(name)}
			for _, a := range addrs {
				h.Addrs = append(h.Addrs, addrToPB(a))
			}
			b.Udp.Hosts = append(b.Udp.Hosts, h)
		}
	case ipcp.EthDIX, ipcp.EthLLC:
		b.Eth = &irmpb.Eth{Device: []byte(c.Eth.Device), Ethertype: uint32(c.Eth.Ethertype)}
	case ipcp.Unicast:
		u := c.Unicast
		b.Unicast = &irmpb.Unicast{
			AddrSize: int64(u.AddrSize), EidSize: int64(u.EIDSize), MaxTtl: int64(u.MaxTTL),
			AddrAuth: []byte(u.AddrAuth), Directory: []byte(u.Directory), Routing: []byte(u.Routing), Congestion: []byte(u.Congestion),
			LsTimeo: int64(u.LSTimeo), LsUpdate: int64(u.LSUpdate), LsRecalc: int64(u.LSRecalc),
			DhtAlpha: int64(u.DHTAlpha), DhtK: int64(u.DHTK),
			DhtExpire: int64(u.DHTExpire), DhtRefresh: int64(u.DHTRefresh), DhtReplic: int64(u.DHTReplic),
		}
	}
	return b
}

// configFromPB reads a configuration. Whether its values make sense is for
// the IPC process to say; here they only must fit their types.
func configFromPB(b *irmpb.Bootstrap) (ipcp.Config, error) {
	c := ipcp.Config{
		Type:  ipcp.Type(clamp8(b.GetType())),
		Layer: string(b.GetLayer()),
		Hash:  layer.HashAlgo(clamp8(b.GetHash())),
	}
	if e := b.GetEth(); e != nil {
		c.Eth.Device = string(e.GetDevice())
		if e.GetEthertype() > math.MaxUint16 {
			return c, fmt.Errorf("value %#x for the Ethertype: %w", e.GetEthertype(), layer.ErrInvalid)
		}
		c.Eth.Ethertype = uint16(e.GetEthertype())
	}
	if u := b.GetUnicast(); u != nil {
		c.Unicast = ipcp.UnicastConfig{
			AddrSize: int(u.GetAddrSize()), EIDSize: int(u.GetEidSize()), MaxTTL: int(u.GetMaxTtl()),
			AddrAuth: string(u.GetAddrAuth()), Directory: string(u.GetDirectory()), Routing: string(u.GetRouting()), Congestion: string(u.GetCongestion()),
			LSTimeo: int(u.GetLsTimeo()), LSUpdate: int(u.GetLsUpdate()), LSRecalc: int(u.GetLsRecalc()),
			DHTAlpha: int(u.GetDhtAlpha()), DHTK: int(u.GetDhtK()),
			DHTExpire: int(u.GetDhtExpire()), DHTRefresh: int(u.GetDhtRefresh()), DHTReplic: int(u.GetDhtReplic()),
		}
	}
	var err error
	if b.GetUdp() != nil {
		c.UDP, err = udpFromPB(b.GetUdp())
	}
	return c, err
}

func udpFromPB(p *irmpb.UDP) (c ipcp.UDPConfig, err error) {
	if c.Addr, err = addrFromPB(p.GetAddr(), p.GetZone()); err != nil {
		return c, err
	}
	if c.DNS, err = addrFromPB(p.GetDns(), nil); err != nil {
		return c, err
	}
	if p.GetPort() > math.MaxUint16 {
		return c, fmt.Errorf("port %d: %w", p.GetPort(), layer.ErrInvalid)
	}
	c.Port = uint16(p.GetPort())
	c.MTU = int(p.GetMtu())
	c.HostsFile = string(p.GetHostsFile())
	for _, h := range p.GetHosts() {
		var addrs []netip.Addr
		for _, b := range h.GetAddrs() {
			a, err := addrFromPB(b, nil)
			if err != nil {
				return c, err
			}
			addrs = append(addrs, a)
		}
		if c.Hosts == nil {
			c.Hosts = make(map[string][]netip.Addr)
		}
		c.Hosts[string(h.GetName())] = addrs
	}
	return c, nil
}
