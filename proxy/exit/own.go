// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// ownAddrs are the addresses of this machine, looked up now and then.
type ownAddrs struct {
	mu    sync.Mutex
	when  time.Time
	addrs map[netip.Addr]bool
}

// ownAge is how old the list may be.
const ownAge = time.Second

// has reports whether an address, unmapped and without zone, is one of this machine. If that cannot be
// found out it counts as one.
func (o *ownAddrs) has(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.addrs == nil || now.Sub(o.when) > ownAge {
		all, err := net.InterfaceAddrs()
		if err != nil {
			return true
		}
		o.when, o.addrs = now, make(map[netip.Addr]bool, len(all))
		for _, n := range all {
			if p, err := netip.ParsePrefix(n.String()); err == nil {
				o.addrs[p.Addr().Unmap().WithZone("")] = true
			}
		}
	}
	return o.addrs[a]
}
