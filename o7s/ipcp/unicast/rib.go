// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"time"

	"o7gw/o7s/ipcp/unicast/addr"
	"o7gw/o7s/ipcp/unicast/dht"
	"o7gw/o7s/ipcp/unicast/linkstate"
	"o7gw/o7s/rib"
)

// mount publishes the statistics (spec 20 §11).
func (m *member) mount() {
	tree := m.ipcp.env.RIB
	m.unmount = []func(){
		tree.Mount("dt."+addr.Text(m.self), m.dt.RIB()),
		tree.Mount("data-transfer", m.dt.Details()),
		tree.Mount("flow-allocator", m.fa.RIB()),
		tree.Mount("flow-allocation", m.fa.Details()),
		tree.Mount("lsdb", m.routing.lsdb()),
		tree.Mount("dht", m.dir.rib()),
		tree.Mount("connections", m.ipcp.conns.RIB()),
	}
}

// rib returns the directory "dht".
func (d *directory) rib() rib.Dir {
	return dht.Dir(func() dht.Snapshot {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.state.Snapshot(time.Now())
	}, addr.Text)
}

// lsdb returns the directory "lsdb".
func (r *routing) lsdb() rib.Dir {
	return linkstate.Dir(func() linkstate.Snapshot {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.state.Snapshot(time.Now())
	}, addr.Text)
}
