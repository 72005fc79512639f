// SPDX-License-Identifier: BSD-3-Clause

// Package lower is a layer below for tests of what stands on one: hosts with
// names, and flows between them over simulated links (package sim), without any IPC
// process or IRM.
//
// Start with New; a Host is an ipcp.Below. Nothing but tests imports this
// package.
package lower

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Layer is a set of hosts. It may be made in a synctest bubble.
type Layer struct {
	net *sim.Network

	mu     sync.Mutex
	params sim.Params
	hosts  map[string]*Host
}

// New returns a layer without hosts.
func New(seed uint64, p sim.Params) *Layer {
	return &Layer{net: sim.NewNetwork(seed), params: p, hosts: make(map[string]*Host)}
}

// Set changes the links of flows that are made from now on.
func (l *Layer) Set(p sim.Params) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.params = p
}

// Close ends the layer.
func (l *Layer) Close() { l.net.Close() }

// Host adds a host with names, or gives its names to another one.
func (l *Layer) Host(names ...string) *Host {
	h := &Host{layer: l, incoming: make(chan ipcp.Flow, 1024)}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range names {
		l.hosts[n] = h
	}
	return h
}

// Forget takes a name away, so that flows to it fail.
func (l *Layer) Forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.hosts, name)
}

// Host is where an IPC process runs.
type Host struct {
	layer    *Layer
	incoming chan ipcp.Flow
	failing  atomic.Bool
	// Asked counts the calls of Allocate.
	Asked atomic.Int64
}

var _ ipcp.Below = (*Host)(nil)

// Allocate implements ipcp.Below. Flows are made without delay.
func (h *Host) Allocate(ctx context.Context, name string, qs qos.Spec) (ipcp.Flow, error) {
	h.Asked.Add(1)
	h.layer.mu.Lock()
	there, params := h.layer.hosts[name], h.layer.params
	h.layer.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if there == nil {
		return nil, layer.ErrNoName
	}
	a, b, link := h.layer.net.Pair(params)
	select {
	case there.incoming <- &Flow{Port: b, Link: link, name: name, qs: qs}:
		return &Flow{Port: a, Link: link, name: name, qs: qs}, nil
	default:
		return nil, layer.ErrTimedOut
	}
}

// Fail makes Accept fail from now on, or work again.
func (h *Host) Fail(on bool) { h.failing.Store(on) }

// Accept implements ipcp.Below.
func (h *Host) Accept(ctx context.Context) (ipcp.Flow, error) {
	if h.failing.Load() {
		return nil, layer.ErrIRMd
	}
	select {
	case f := <-h.incoming:
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Flow is one end of a flow. It notes its limits of liveness, and does nothing
// with them.
type Flow struct {
	layer.Port
	Link *sim.Link // that carries this flow alone
	name string
	qs   qos.Spec

	mu                sync.Mutex
	interval, timeout time.Duration
}

var (
	_ ipcp.Flow    = (*Flow)(nil)
	_ layer.Queuer = (*Flow)(nil)
)

// Queued implements layer.Queuer.
func (f *Flow) Queued() int { return f.Port.(layer.Queuer).Queued() }

// Name implements ipcp.Flow.
func (f *Flow) Name() string { return f.name }

// QoS implements ipcp.Flow.
func (f *Flow) QoS() qos.Spec { return f.qs }

// SetLiveness implements ipcp.Flow.
func (f *Flow) SetLiveness(interval, timeout time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interval, f.timeout = interval, timeout
}

// Liveness returns what was set last.
func (f *Flow) Liveness() (interval, timeout time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.interval, f.timeout
}

// Reader collects what a port delivers. The zero value is ready for Receive.
type Reader struct {
	mu     sync.Mutex
	got    []string
	ended  bool
	Closed func() // called at the end of the flow, if set
}

var _ layer.Receiver = (*Reader)(nil)

// Packets implements layer.Receiver.
func (r *Reader) Packets(pkts []*packet.Buffer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range pkts {
		r.got = append(r.got, string(b.Bytes()))
		b.Release()
	}
}

// Event implements layer.Receiver.
func (r *Reader) Event(e layer.Event) {
	if e != layer.Closed {
		return
	}
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	if r.Closed != nil {
		r.Closed()
	}
}

// Got returns the packets so far.
func (r *Reader) Got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// Ended reports whether the flow has ended.
func (r *Reader) Ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// Send sends packets as one batch.
func Send[B []byte | string](p layer.Port, msgs ...B) {
	var batch []*packet.Buffer
	for _, m := range msgs {
		b := packet.Get(len(m))
		b.Append([]byte(m))
		batch = append(batch, b)
	}
	p.Send(batch)
}

// Drop returns a sim.Params.Drop that loses the n-th of all packets, counted
// from 1.
func Drop(n int64) func(uint64, []byte) bool {
	var seen atomic.Int64
	return func(uint64, []byte) bool { return seen.Add(1) == n }
}
