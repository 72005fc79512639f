// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"

	"o7gw/gateway/tunnel"
	"o7gw/o7s"
	"o7gw/o7s/qos"
)

// network gives tunnels the flows of a stack.
type network struct {
	stack *o7s.Stack
	// rings: the flows are rings to a daemon, of which writes may have to wait
	// for room. A raw flow on a layer in this process drops what is too much.
	rings bool
}

// NewNetwork lets tunnels that are not part of a Gateway use the stack of a
// daemon.
func NewNetwork(s *o7s.Stack) tunnel.Network { return network{s, true} }

func (n network) Dial(ctx context.Context, name string, qs qos.Spec) (tunnel.Flow, error) {
	f, err := n.stack.Dial(ctx, name, o7s.WithQoS(qs))
	if err != nil {
		return nil, err
	}
	return n.flow(f), nil
}

func (n network) flow(f *o7s.Flow) tunnel.Flow {
	f.SetLinger(0) // what a tunnel that ends has sent is of no use to anybody
	if n.rings || f.QoS().Reliable() {
		return &patient{limitedWriter: f, limit: patience}
	}
	return f
}

func (n network) Listen(ctx context.Context, name string) (tunnel.Listener, error) {
	l, err := n.stack.Listen(ctx, name)
	if err != nil {
		return nil, err
	}
	return listener{l, n}, nil
}

type listener struct {
	*o7s.Listener
	net network
}

func (l listener) AcceptFlow(ctx context.Context) (tunnel.Flow, error) {
	f, err := l.Listener.AcceptFlow(ctx)
	if err != nil {
		return nil, err
	}
	return l.net.flow(f), nil
}
