// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"net/netip"
	"sync/atomic"

	"o7gw/gateway/config"
	"o7gw/proxy/route"
)

// routing says which service serves a destination: the routes of the
// configuration and the addresses that stand for names.
type routing struct {
	now atomic.Pointer[state]
}

// state is one state of the routing, never changed.
type state struct {
	cfg   route.Config
	pool  route.Pool // nil: no addresses stand for names
	table *route.Table
}

// set takes the routes of a configuration; names may be nil.
func (r *routing) set(f *config.File, names *nameService) {
	n := &state{cfg: route.Config{Exits: f.Routes, QoS: f.QoS, Zones: []string{config.DefaultZone}}}
	if f.Names != nil {
		n.cfg.Zones = []string{f.Names.Zone}
	}
	if names != nil {
		n.pool = names.pool
	}
	n.table = route.New(n.cfg, n.pool)
	r.now.Store(n)
}

// table returns the routes of the moment.
func (r *routing) table() *route.Table { return r.now.Load().table }

// with returns the routes of the moment with exits for prefixes in front.
func (r *routing) with(exits []string, prefixes []netip.Prefix) *route.Table {
	n := r.now.Load()
	if len(exits) == 0 {
		return n.table
	}
	cfg := n.cfg
	cfg.Exits = nil
	for _, e := range exits {
		cfg.Exits = append(cfg.Exits, route.Exit{Service: e, Prefixes: prefixes})
	}
	cfg.Exits = append(cfg.Exits, n.cfg.Exits...)
	return route.New(cfg, n.pool)
}
