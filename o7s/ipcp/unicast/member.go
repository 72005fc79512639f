// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"crypto/rand"
	"fmt"
	"io"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/oep"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/ipcp/unicast/dt"
	"o7gw/o7s/ipcp/unicast/fa"
)

// Endpoint ids of the components. They are not negotiated (spec 20 §1.2).
const (
	flowAllocatorEID = 0
	directoryEID     = 1
)

// member is what an operational IPC process is made of.
type member struct {
	ipcp   *IPCP
	config ipcp.Config // defaults filled in
	self   uint64      // own address

	names   ipcp.Registry
	dt      *dt.DT
	fa      *fa.FA
	dir     *directory
	routing *routing

	unmount []func() // takes the statistics out of the RIB
}

// newMember makes the components and lets them run, in the order of spec 20
// §1.2.
func newMember(p *IPCP, ms oep.Membership, self uint64) (*member, error) {
	cfg := ms.Config
	policy, err := congestion(cfg.Unicast)
	if err != nil {
		return nil, err
	}
	id := make([]byte, cfg.Hash.Size())
	if _, err := io.ReadFull(rand.Reader, id); err != nil {
		return nil, fmt.Errorf("draw a node id: %w", err)
	}
	m := &member{ipcp: p, config: cfg, self: self}
	m.dt = dt.New(m.dtConfig(policy))
	m.fa = fa.New(fa.Config{
		Self: self, Net: m.dt, CA: policy, HashLen: cfg.Hash.Size(),
		Upper: p.Upper(), Registered: m.names.Has, Log: p.Log(),
	})
	m.dir = newDirectory(m, id, ms.Peer)
	m.dt.Component(flowAllocatorEID, m.fa.Manage)
	m.dt.Component(directoryEID, m.dir.receive)
	m.dt.SetFlows(m.fa)
	m.routing = newRouting(m)
	m.mount()
	return m, nil
}

func (m *member) dtConfig(policy ca.Policy) dt.Config {
	_, forwarding := linkStateConfig(m.config.Unicast, m.self)
	return dt.Config{
		Self: m.self, AddrSize: m.config.Unicast.AddrSize, MaxTTL: m.config.Unicast.MaxTTL,
		Policy: forwarding, Mark: policy, Log: m.ipcp.Log(),
	}
}

// membership is what an enrollee gets: the configuration, and this member as
// its way into the directory.
func (m *member) membership() oep.Membership {
	return oep.Membership{Config: m.config, Peer: m.self}
}

// taken reports whether an address is known to belong to a member.
func (m *member) taken(a uint64) bool { return a == m.self || m.routing.knows(a) }

// close ends the components. The connections have ended before.
func (m *member) close() {
	for _, f := range m.unmount {
		f()
	}
	m.fa.Close()
	m.dir.close()
	m.routing.close()
}

// routesChanged passes on that the forwarding table has changed.
func (m *member) routesChanged() {
	m.fa.RoutesChanged()
	m.dir.reachable()
}
