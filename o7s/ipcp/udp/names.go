// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/udp/ddns"
	"o7gw/o7s/layer"
)

// useDNS connects names and directory with the DNS server of the
// configuration, if there is one. An unspecified address is none, as in the
// prototype.
func (p *IPCP) useDNS(cfg ipcp.UDPConfig) {
	if !cfg.DNS.IsValid() || cfg.DNS.IsUnspecified() {
		return
	}
	server := ddns.Server{Addr: netip.AddrPortFrom(cfg.DNS, p.dnsPort)}
	p.published = newPublisher(server, cfg.Addr, p.Log())
	p.dir.dns = &resolver{ctx: p.Context(), dir: p.dir, server: server, log: p.Log(), names: make(map[layer.Hash]*finding)}
}

// register makes the name known to peers that ask here, and in the DNS.
func (p *IPCP) register(ctx context.Context, name layer.Hash) error {
	p.names.Add(name) // first: who finds it in the DNS must be served
	if p.published == nil {
		return nil
	}
	if err := p.published.publish(ctx, name); err != nil {
		p.names.Remove(name)
		return fmt.Errorf("register %s: %w", name.Short(), err)
	}
	return nil
}

// unregister undoes that.
func (p *IPCP) unregister(ctx context.Context, name layer.Hash) error {
	p.names.Remove(name)
	if p.published == nil {
		return nil
	}
	if err := p.published.withdraw(ctx, name); err != nil {
		return fmt.Errorf("unregister %s: %w", name.Short(), err)
	}
	return nil
}

// query looks the name up in the address map, the hosts file and the DNS. As
// in the prototype, own registrations do not count: a name served here is
// found only if one of these says so.
func (p *IPCP) query(ctx context.Context, name layer.Hash) error {
	addrs, err := p.dir.lookup(ctx, name, time.Now())
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		return layer.ErrNoName
	}
	return nil
}
