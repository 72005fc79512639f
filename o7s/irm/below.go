// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"fmt"
	"os"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// standsOnLayers reports whether IPC processes of the type use flows of the
// layers below, as an application does (spec 10 §6.1).
func standsOnLayers(t ipcp.Type) bool { return t == ipcp.Unicast || t == ipcp.Broadcast }

// below gives an IPC process the flows of the layers below it.
type below struct{ p *Process }

var _ ipcp.Below = below{}

// newBelow makes the IPC process a process of its own IRM. It is none that a
// pid names, and inherits no names.
func (i *IRM) newBelow(m *member) (below, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	p, err := i.attach(ProcInfo{
		PID:   os.Getpid(),
		Creds: Creds{UID: uint32(uid), GID: uint32(gid), PID: os.Getpid(), Admin: true},
	}, m)
	return below{p}, err
}

// Allocate implements ipcp.Below.
func (b below) Allocate(ctx context.Context, name string, qs qos.Spec) (ipcp.Flow, error) {
	f, err := b.p.Alloc(ctx, name, qs)
	if err != nil {
		return nil, err
	}
	return b.wrap(f)
}

// Accept implements ipcp.Below.
func (b below) Accept(ctx context.Context) (ipcp.Flow, error) {
	for {
		f, err := b.p.Accept(ctx, "")
		if err != nil {
			return nil, err
		}
		w, err := b.wrap(f)
		if err == nil {
			return w, nil
		}
		b.p.irm.warnf("Failed to accept flow for %v: %v.", text(f.name), err)
	}
}

// wrap gives a flow its end-to-end functions. Flows of an IPC process are
// ports, never rings.
func (b below) wrap(f *Flow) (ipcp.Flow, error) {
	port := f.Port()
	if port == nil { // ended in the same moment
		return nil, ErrDetached
	}
	e, err := flow.New(&flow.Attachment{
		ID: f.id, Name: f.name, QoS: f.qs, MPL: f.mpl, MTU: port.MTU(), Port: port, Terms: f.terms,
		Dealloc: func() error { f.Dealloc(); return nil },
	}, b.p.irm.host)
	if err != nil {
		return nil, fmt.Errorf("flow %d: %w", f.id, err)
	}
	e.SetNonblock(false, true) // nothing in a node waits
	e.SetLinger(0)
	b.p.irm.mu.Lock()
	f.end = e
	b.p.irm.mu.Unlock()
	return &belowFlow{flow: e, port: port}, nil
}

// belowFlow is a flow as an IPC process uses it.
type belowFlow struct {
	flow *flow.Flow
	port layer.Port
}

var (
	_ ipcp.Flow    = (*belowFlow)(nil)
	_ layer.Queuer = (*belowFlow)(nil)
)

// Send implements layer.Port. What cannot go is dropped, and counted by the flow.
func (f *belowFlow) Send(pkts []*packet.Buffer) { _ = f.flow.WriteBatch(pkts) }

// Receive implements layer.Port.
func (f *belowFlow) Receive(r layer.Receiver) {
	if err := f.flow.Receive(r); err != nil {
		panic("irm: " + err.Error())
	}
}

// MTU implements layer.Port: that of a layer that stands on others may
// change.
func (f *belowFlow) MTU() int { return min(f.flow.MTU(), f.port.MTU()) }

// Close implements layer.Port.
func (f *belowFlow) Close() error { return f.flow.Close() }

// Name implements ipcp.Flow.
func (f *belowFlow) Name() string { return f.flow.Name() }

// QoS implements ipcp.Flow.
func (f *belowFlow) QoS() qos.Spec { return f.flow.QoS() }

// SetLiveness implements ipcp.Flow.
func (f *belowFlow) SetLiveness(interval, timeout time.Duration) {
	f.flow.SetLiveness(interval, timeout)
}

// Backlog implements layer.Backlogger: 0 if the layer does not know.
func (f *belowFlow) Backlog() int {
	if b, ok := f.port.(layer.Backlogger); ok {
		return b.Backlog()
	}
	return 0
}

// Queued implements layer.Queuer: 0 if the layer does not know.
func (f *belowFlow) Queued() int {
	if q, ok := f.port.(layer.Queuer); ok {
		return q.Queued()
	}
	return 0
}
