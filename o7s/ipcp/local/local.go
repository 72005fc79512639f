// SPDX-License-Identifier: BSD-3-Clause

// Package local implements the local IPC process (spec 10 §5): flows between
// processes of one node. Nothing leaves the machine.
//
// Start with New.
package local

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

const (
	// MPL is the maximum packet lifetime of the layer.
	MPL = 100 * time.Millisecond
	// MTU is the largest packet of a flow in bytes.
	MTU = packet.MaxPayload
)

// IPCP is a local IPC process.
type IPCP struct {
	ipcp.Shell
	names ipcp.Registry

	mu    sync.Mutex
	ports map[*port]struct{} // open ones; guarded by mu

	requests  atomic.Uint64
	accepted  atomic.Uint64
	refused   atomic.Uint64
	abandoned atomic.Uint64
	packets   atomic.Uint64 // of closed ports, as are the next two
	bytes     atomic.Uint64
	dropped   atomic.Uint64
}

var _ ipcp.IPCP = (*IPCP)(nil)

// New returns a local IPC process in state BOOT.
func New(env ipcp.Env) *IPCP {
	l := &IPCP{ports: make(map[*port]struct{})}
	l.Init(ipcp.Local, env, ipcp.Ops{
		Bootstrap: func(_ context.Context, cfg ipcp.Config) (ipcp.Info, error) {
			return ipcp.Info{Layer: cfg.Layer, Hash: cfg.Hash, MTU: MTU, MPL: MPL}, nil
		},
		Register: func(_ context.Context, name layer.Hash) error {
			l.names.Add(name)
			return nil
		},
		Unregister: func(_ context.Context, name layer.Hash) error {
			l.names.Remove(name)
			return nil
		},
		Query:    l.query,
		Allocate: l.allocate,
		Close:    l.close,
	})
	return l
}

func (l *IPCP) query(_ context.Context, name layer.Hash) error {
	if !l.names.Has(name) {
		return layer.ErrNoName
	}
	return nil
}

// allocate passes the request up at once and waits for the answer.
func (l *IPCP) allocate(ctx context.Context, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	if err := l.query(ctx, dst); err != nil {
		return nil, nil, err
	}
	l.requests.Add(1)
	p := &pending{home: l, answer: make(chan answer, 1)}
	l.Upper().FlowRequested(&layer.Request{Dst: dst, QoS: qs, Data: append([]byte(nil), data...), Answerer: p})
	select {
	case a := <-p.answer:
		return a.result()
	case <-ctx.Done():
	}
	if p.done.Swap(true) { // answered in the same moment
		return (<-p.answer).result()
	}
	l.abandoned.Add(1)
	return nil, nil, layer.ErrTimedOut
}

// pending is a request that waits for its answer.
type pending struct {
	home   *IPCP
	done   atomic.Bool // answered, or given up by the requester
	answer chan answer // has room for the one answer
}

type answer struct {
	port layer.Port
	data []byte
	code layer.Errno
}

func (a answer) result() (layer.Port, []byte, error) {
	if a.code != 0 {
		return nil, nil, a.code
	}
	return a.port, a.data, nil
}

// Accept implements layer.Answerer.
func (p *pending) Accept(data []byte) (layer.Port, error) {
	if p.done.Swap(true) {
		return nil, layer.ErrNotAllocated
	}
	a, b, ok := p.home.pair()
	if !ok {
		p.answer <- answer{code: layer.ErrIPCPState}
		return nil, layer.ErrIPCPState
	}
	p.home.accepted.Add(1)
	p.answer <- answer{port: a, data: append([]byte(nil), data...)}
	return b, nil
}

// Refuse implements layer.Answerer.
func (p *pending) Refuse(code layer.Errno) {
	if p.done.Swap(true) {
		return
	}
	p.home.refused.Add(1)
	if code == 0 { // a refusal without a reason is still one
		code = layer.ErrIPCP
	}
	p.answer <- answer{code: code}
}

// Ignore implements layer.Answerer. There is nobody else in this layer, so
// silence would only make the requester wait.
func (p *pending) Ignore() { p.Refuse(layer.ErrNoName) }

// close ends all flows, seen by both users of each.
func (l *IPCP) close() error {
	l.mu.Lock()
	open := l.ports
	l.ports = nil
	l.mu.Unlock()
	for p := range open {
		p.end()
	}
	return nil
}
