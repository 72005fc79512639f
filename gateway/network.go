// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"

	"o7gw/gateway/tunnel"
	"o7gw/o7s"
	"o7gw/o7s/qos"
	"o7gw/proxy"
)

// stack is what a node offers to the objects of a gateway, whether it is
// embedded or a daemon.
type stack interface {
	proxy.Stack
	Join(ctx context.Context, layerName string) (*o7s.Flow, error)
	Query(ctx context.Context, name string) error
}

// embedded is the stack of a node in this process.
type embedded struct{ *o7s.Stack }

func (e embedded) Listen(ctx context.Context, name string) (proxy.Listener, error) {
	l, err := e.Stack.Listen(ctx, name)
	if err != nil {
		return nil, err // not a nil *o7s.Listener in an interface
	}
	return l, nil
}

// network gives tunnels and segments the flows of a stack.
type network struct {
	stack stack
	// rings: the flows are rings to a daemon, of which writes may have to wait
	// for room. A raw flow on a layer in this process drops what is too much.
	rings bool
}

// NewNetwork lets tunnels that are not part of a Gateway use the stack of a
// daemon.
func NewNetwork(s *o7s.Stack) tunnel.Network { return network{embedded{s}, true} }

func (n network) Dial(ctx context.Context, name string, qs qos.Spec) (tunnel.Flow, error) {
	return n.flow(n.stack.Dial(ctx, name, o7s.WithQoS(qs)))
}

// Join joins a broadcast layer.
func (n network) Join(ctx context.Context, layerName string) (tunnel.Flow, error) {
	return n.flow(n.stack.Join(ctx, layerName))
}

func (n network) flow(f *o7s.Flow, err error) (tunnel.Flow, error) {
	if err != nil {
		return nil, err
	}
	f.SetLinger(0) // what a tunnel that ends has sent is of no use to anybody
	if n.rings || f.QoS().Reliable() {
		return &patient{limitedWriter: f, limit: patience}, nil
	}
	return f, nil
}

func (n network) Listen(ctx context.Context, name string) (tunnel.Listener, error) {
	l, err := n.stack.Listen(ctx, name)
	if err != nil {
		return nil, err
	}
	return listener{l, n}, nil
}

type listener struct {
	proxy.Listener
	net network
}

func (l listener) AcceptFlow(ctx context.Context) (tunnel.Flow, error) {
	return l.net.flow(l.Listener.AcceptFlow(ctx))
}
