// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// entryTTL is how long what was found for a name is used before its sources
// are asked again (UDP-14).
const entryTTL = time.Minute

// directory finds the members of the layer that serve a name: from the
// address map of the configuration and the hosts file; if neither has it, from
// the DNS server. What was found is kept as entries, which expire, and which lose an address to which an
// allocation failed.
type directory struct {
	self   endpoint
	static map[layer.Hash][]endpoint
	hosts  hostsFile
	dns    *resolver // nil: none

	mu      sync.Mutex
	entries map[layer.Hash]entry
}

type entry struct {
	addrs   []endpoint // immutable, never empty
	expires time.Time
}

func newDirectory(cfg ipcp.UDPConfig, self endpoint) (*directory, error) {
	d := &directory{
		self:    self,
		static:  make(map[layer.Hash][]endpoint),
		entries: make(map[layer.Hash]entry),
		hosts:   hostsFile{path: cfg.HostsFile},
	}
	if d.hosts.path == "" {
		d.hosts.path = "/etc/hosts"
	}
	for name, addrs := range cfg.Hosts {
		hash := layer.MD5.Sum(name)
		for _, a := range addrs {
			e, ok, err := d.member(a)
			if err != nil {
				return nil, fmt.Errorf("address of %q: %w", name, err)
			}
			if ok {
				d.static[hash] = append(d.static[hash], e)
			}
		}
	}
	return d, nil
}

// member makes the endpoint of a member of the layer: all use one port. It
// reports false for an address of the other family, which the map and the
// hosts file may well hold.
func (d *directory) member(a netip.Addr) (endpoint, bool, error) {
	if a = a.Unmap(); a.Is4() != d.self.is4() || !a.IsValid() {
		return endpoint{}, false, nil
	}
	e, err := newEndpoint(netip.AddrPortFrom(a, d.self.port))
	if err != nil {
		return endpoint{}, false, err
	}
	if e.scope == 0 && a.Is6() && a.IsLinkLocalUnicast() {
		e.scope = d.self.scope
	}
	return e, true, nil
}

// lookup returns the addresses for a name in the order in which to try them,
// none if nobody is known. It waits for the DNS server as long as ctx allows.
// The result must not be changed.
func (d *directory) lookup(ctx context.Context, name layer.Hash, now time.Time) ([]endpoint, error) {
	addrs, err := d.local(name, now)
	if err != nil || len(addrs) > 0 || d.dns == nil {
		return addrs, err
	}
	return d.dns.lookup(ctx, name, now)
}

// local is the part of lookup that needs nobody else.
func (d *directory) local(name layer.Hash, now time.Time) ([]endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if changed, err := d.hosts.refresh(); err != nil {
		return nil, err
	} else if changed {
		clear(d.entries)
	}
	if e, ok := d.entries[name]; ok && now.Before(e.expires) {
		return e.addrs, nil
	}
	addrs := d.resolveLocked(name)
	if len(addrs) == 0 {
		delete(d.entries, name)
		return nil, nil
	}
	d.entries[name] = entry{addrs: addrs, expires: now.Add(entryTTL)}
	return addrs, nil
}

// resolveLocked asks the sources.
func (d *directory) resolveLocked(name layer.Hash) []endpoint {
	addrs := slices.Clone(d.static[name])
	for _, a := range d.hosts.names[name] {
		// A zone that does not exist makes the line useless, not the file.
		if e, ok, err := d.member(a); err == nil && ok && !slices.Contains(addrs, e) {
			addrs = append(addrs, e)
		}
	}
	return addrs
}

// failed drops an address after an allocation toward it failed. The last one
// takes the entry with it, so that the sources are asked again.
func (d *directory) failed(name layer.Hash, at endpoint) {
	if d.dns != nil {
		d.dns.failed(name, at)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.entries[name]
	if !ok {
		return
	}
	e.addrs = slices.DeleteFunc(slices.Clone(e.addrs), func(a endpoint) bool { return a == at })
	if len(e.addrs) == 0 {
		delete(d.entries, name)
		d.hosts.forget()
		return
	}
	d.entries[name] = e
}
