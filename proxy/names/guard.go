// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// limits of what is done for clients. A resolver of the machine asks for all its
// programs, one of a network for all its machines, so they are wide; a client
// is an IPv4 address or an IPv6 /64.
type limits struct {
	rate, burst       float64 // queries of one client, per second and at once
	waiting, allWait  int     // queries that wait for the layers or upstream, of one client and of all
	conns, allConns   int     // TCP connections
	pipelined         int     // queries of one TCP connection that wait
	remembered        int     // clients
	idle, writeWithin time.Duration
}

func defaultLimits() limits {
	return limits{
		rate: 2000, burst: 4000,
		waiting: 256, allWait: 1024,
		conns: 64, allConns: 512,
		pipelined:  32,
		remembered: 4096,
		idle:       10 * time.Second, writeWithin: 5 * time.Second,
	}
}

// verdict is what becomes of a query.
type verdict int

const (
	answer   verdict = iota
	silence          // the client has to ask again
	truncate         // the client has to ask again over TCP, which nobody can do in its name
)

// guard keeps clients within their limits.
type guard struct {
	limits

	mu      sync.Mutex
	clients map[netip.Addr]*client
	order   *list.List // of *client, who was not heard of for longest first
	waits   int
	open    int
}

// client is one source of queries.
type client struct {
	key     netip.Addr
	tokens  float64
	seen    time.Time
	dropped int
	waits   int
	open    int
	elem    *list.Element
}

func newGuard(l limits) *guard {
	return &guard{limits: l, clients: map[netip.Addr]*client{}, order: list.New()}
}

// clientOf returns what stands for the client behind an address: all addresses
// of an IPv6 /64 are one client's for the asking, except on a link.
func clientOf(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() || a.IsLinkLocalUnicast() || a.IsLoopback() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64)
	return p.Addr()
}

// getLocked returns the client. If there are too many, the one that was silent
// for longest is forgotten; what it still waits for ends with its own account.
func (g *guard) getLocked(from netip.Addr, now time.Time) *client {
	key := clientOf(from)
	c := g.clients[key]
	if c == nil {
		if len(g.clients) >= g.remembered {
			old := g.order.Remove(g.order.Front()).(*client)
			delete(g.clients, old.key)
		}
		c = &client{key: key, tokens: g.burst, seen: now}
		c.elem = g.order.PushBack(c)
		g.clients[key] = c
		return c
	}
	g.order.MoveToBack(c.elem)
	c.tokens = min(g.burst, c.tokens+now.Sub(c.seen).Seconds()*g.rate)
	c.seen = now
	return c
}

// admit says whether a client may ask now. Of queries above the rate every
// second is answered with "ask over TCP": for clients whose address others use.
func (g *guard) admit(from netip.Addr, now time.Time) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.getLocked(from, now)
	if c.tokens >= 1 {
		c.tokens--
		return answer
	}
	c.dropped++
	if c.dropped%2 == 0 {
		return truncate
	}
	return silence
}

// wait admits a query that has to wait; nil: not now. leave ends it.
func (g *guard) wait(from netip.Addr, now time.Time) *client {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.getLocked(from, now)
	if g.waits >= g.allWait || c.waits >= g.waiting {
		return nil
	}
	g.waits++
	c.waits++
	return c
}

func (g *guard) leave(c *client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waits--
	c.waits--
}

// connect admits a TCP connection; nil: it is to be closed. disconnect ends it.
func (g *guard) connect(from netip.Addr, now time.Time) *client {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.getLocked(from, now)
	if g.open >= g.allConns || c.open >= g.conns {
		return nil
	}
	g.open++
	c.open++
	return c
}

func (g *guard) disconnect(c *client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	c.open--
}
