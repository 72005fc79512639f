// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"fmt"
	"math"

	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// joinQoS is that of a flow in a broadcast layer: no FRCP, CRC, encryption or
// keepalives (spec 30 §2.5).
var joinQoS = qos.Spec{Delay: math.MaxUint32, Loss: math.MaxUint32, BER: math.MaxUint32, MaxGap: math.MaxUint32}

// Join joins a broadcast layer by its name: layer.ErrIPCP if the node is not in
// it.
func (p *Process) Join(ctx context.Context, layerName string) (*Flow, error) {
	fail := func(err error) (*Flow, error) { return nil, fmt.Errorf("join layer %q: %w", layerName, err) }
	ctx, cancel := p.call(ctx)
	defer cancel()
	m, hash := p.irm.layerNamed(layerName)
	if m == nil {
		return fail(errText("this node has no IPCP in it", layer.ErrIPCP))
	}
	f, err := p.pendingFlow(layerName, joinQoS, m)
	if err != nil {
		return fail(err)
	}
	port, err := m.ipcp.Join(ctx, hash)
	if err != nil {
		f.Dealloc()
		return fail(p.callError(ctx, err))
	}
	if err := f.ready(wire{port: port, mtu: port.MTU()}, flow.Terms{}); err != nil {
		return fail(err)
	}
	p.irm.infoBy(p.cause(), "Flow %d allocated for %d to layer %v.", f.id, p.pid(), text(layerName))
	return f, nil
}

func (i *IRM) layerNamed(s string) (*member, layer.Hash) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.ipcps {
		if m.joined && m.info.Layer == s {
			return m, m.info.Hash.Sum(s)
		}
	}
	return nil, ""
}
