// SPDX-License-Identifier: BSD-3-Clause

package listen

import (
	"net/netip"
	"sync"
)

// Gate bounds how many clients there are at a time, so that one of them cannot
// keep out all others: half of the places is the most for one source, which is
// an address of IPv4, a network of 64 bits of IPv6. The machine itself may take
// all.
type Gate struct {
	mu      sync.Mutex
	max     int
	open    int
	sources map[netip.Addr]int
}

// NewGate returns a gate for max clients.
func NewGate(max int) *Gate { return &Gate{max: max, sources: map[netip.Addr]int{}} }

// sourceBits is the length of the prefix of IPv6 that counts as one source: a
// host can choose the rest.
const sourceBits = 64

// source returns what clients are counted by.
func source(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() && !a.IsLoopback() {
		p, _ := a.Prefix(sourceBits)
		return p.Addr()
	}
	return a
}

// Enter takes a place for a client, if there is one; Leave gives it back.
func (g *Gate) Enter(from netip.Addr) bool {
	from = source(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.max || !from.IsLoopback() && g.sources[from] >= (g.max+1)/2 {
		return false
	}
	g.open++
	g.sources[from]++
	return true
}

// Leave gives the place of a client back.
func (g *Gate) Leave(from netip.Addr) {
	from = source(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.sources[from]--; g.sources[from] == 0 {
		delete(g.sources, from)
	}
}

// Set changes the number of places; who is inside stays.
func (g *Gate) Set(max int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max = max
}
