// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"time"

	"o7gw/gateway/tunnel"
	"o7gw/o7s"
	"o7gw/o7s/qos"
)

// network gives tunnels the flows of a stack.
type network struct{ stack *o7s.Stack }

// NewNetwork lets tunnels that are not part of a Gateway use a stack.
func NewNetwork(s *o7s.Stack) tunnel.Network { return network{s} }

func (n network) Dial(ctx context.Context, name string, timeout time.Duration) (tunnel.Flow, error) {
	// Raw: IP does its own recovery, and a second one below would fight it.
	qs := qos.Raw
	qs.Timeout = uint32(timeout.Milliseconds())
	f, err := n.stack.Dial(ctx, name, o7s.WithQoS(qs))
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (n network) Listen(ctx context.Context, name string) (tunnel.Listener, error) {
	l, err := n.stack.Listen(ctx, name)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

type listener struct{ *o7s.Listener }

func (l listener) AcceptFlow(ctx context.Context) (tunnel.Flow, error) {
	f, err := l.Listener.AcceptFlow(ctx)
	if err != nil {
		return nil, err
	}
	// A server has many peers: one that does not take its packets, which can
	// happen on a ring only, must not hold up the others.
	f.SetNonblock(true)
	return f, nil
}
