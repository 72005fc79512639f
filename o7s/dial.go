// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"context"
	"net"

	"o7gw/o7s/flow"
	"o7gw/o7s/qos"
)

// DialOption changes what Dial asks for.
type DialOption func(*dialOptions)

type dialOptions struct {
	qos qos.Spec
}

// WithQoS asks for a flow of the specification; without it, for qos.Raw.
func WithQoS(qs qos.Spec) DialOption { return func(o *dialOptions) { o.qos = qs } }

// Dial allocates a flow to the service of that name. The name need not be
// known to the local resource manager. ctx limits the wait for the answer. A
// refusal is a layer.Errno: errors.As finds it.
func (s *Stack) Dial(ctx context.Context, name string, opts ...DialOption) (*Flow, error) {
	o := dialOptions{qos: qos.Raw}
	for _, opt := range opts {
		opt(&o)
	}
	a, err := s.b.Alloc(ctx, name, o.qos)
	if err != nil {
		return nil, opError("dial", name, err)
	}
	return s.newFlow("dial", name, a)
}

// Query returns nil if this node or a layer that it is in knows the name, so that
// Dial has whom to ask, and an error that wraps layer.ErrNoName if none does. A
// layer that did not decide in time is layer.ErrTimedOut: it may know the name.
// ctx limits the search, which otherwise takes some seconds at most.
func (s *Stack) Query(ctx context.Context, name string) error {
	if err := s.b.Query(ctx, name); err != nil {
		return opError("query", name, err)
	}
	return nil
}

// Join joins a broadcast layer: what is written goes to all members, what
// they write is read.
func (s *Stack) Join(ctx context.Context, layerName string) (*Flow, error) {
	a, err := s.b.Join(ctx, layerName)
	if err != nil {
		return nil, opError("join", layerName, err)
	}
	return s.newFlow("join", layerName, a)
}

// newFlow makes the Flow of an attachment.
func (s *Stack) newFlow(op, name string, a *flow.Attachment) (*Flow, error) {
	low, err := flow.New(a, s.host)
	if err != nil {
		return nil, opError(op, name, err)
	}
	f := &Flow{f: low, stack: s}
	if !s.hold(f) {
		low.Close()
		return nil, opError(op, name, net.ErrClosed)
	}
	return f, nil
}
