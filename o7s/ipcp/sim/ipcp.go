// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"context"
	"sync"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// directoryAge is how long an answer to a name query is believed.
const directoryAge = time.Minute

// IPCP is an IPC process attached to a Link. It behaves like the Ethernet
// ones: names are asked for by broadcast, those registered here are not found
// from here, requests for names that are not registered are refused at once.
type IPCP struct {
	ipcp.Shell
	station *station
	names   ipcp.Registry

	mu        sync.Mutex
	directory map[layer.Hash]entry     // guarded by mu
	questions map[layer.Hash]*question // guarded by mu
}

var _ ipcp.IPCP = (*IPCP)(nil)

type entry struct {
	at      *station
	expires time.Time
}

// question is a name query that somebody waits for.
type question struct {
	waiting  int
	answered chan struct{}
}

func newIPCP(t ipcp.Type, env ipcp.Env) *IPCP {
	p := &IPCP{directory: make(map[layer.Hash]entry), questions: make(map[layer.Hash]*question)}
	p.Init(t, env, ipcp.Ops{
		Bootstrap: p.bootstrap,
		Register: func(_ context.Context, name layer.Hash) error {
			p.names.Add(name)
			return nil
		},
		Unregister: func(_ context.Context, name layer.Hash) error {
			p.names.Remove(name)
			return nil
		},
		Query: func(ctx context.Context, name layer.Hash) error {
			_, err := p.find(ctx, name)
			return err
		},
		Allocate: p.allocate,
		Close:    p.close,
	})
	return p
}

func (p *IPCP) bootstrap(_ context.Context, cfg ipcp.Config) (ipcp.Info, error) {
	l := p.station.link
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	info := ipcp.Info{Layer: cfg.Layer, Hash: cfg.Hash, MTU: l.params.mtu(), MPL: l.params.mpl()}
	if t := p.Type(); t == ipcp.UDP4 || t == ipcp.UDP6 {
		info.Hash = layer.MD5
	}
	return info, nil
}

// SetCarrier pulls the plug of this IPC process, or puts it back in. Its flows
// hear of it; those at the other ends do not.
func (p *IPCP) SetCarrier(up bool) {
	n := p.station.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	p.station.unplugged = !up
	p.station.reportLocked()
	n.armLocked()
}

// close ends all flows, seen by the users of both ends.
func (p *IPCP) close() error {
	n := p.station.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range p.station.portsLocked() {
		q.endLocked()
		n.postHereLocked(func() { q.in.Notify(layer.Closed) })
	}
	p.station.detachLocked()
	n.armLocked()
	return nil
}
