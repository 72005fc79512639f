// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/irm"
	"o7gw/o7s/qos"
)

// backend is the IRM as the application library sees it.
type backend struct {
	p *irm.Process
}

var _ o7s.Backend = backend{}

func (b backend) Alloc(ctx context.Context, name string, qs qos.Spec) (*flow.Attachment, error) {
	return attachment(b.p.Alloc(ctx, name, qs))
}

func (b backend) Accept(ctx context.Context, name string) (*flow.Attachment, error) {
	return attachment(b.p.Accept(ctx, name))
}

func (b backend) Join(ctx context.Context, layerName string) (*flow.Attachment, error) {
	return attachment(b.p.Join(ctx, layerName))
}

func (b backend) Query(ctx context.Context, name string) error { return b.p.Query(ctx, name) }

func (b backend) Listen(ctx context.Context, name string) (stop func(), err error) {
	return b.p.Listen(ctx, name)
}

func (b backend) Close() error {
	b.p.Close()
	return nil
}

// attachment turns a flow of the IRM into the lower end of one of the
// library.
func attachment(f *irm.Flow, err error) (*flow.Attachment, error) {
	if err != nil {
		return nil, err
	}
	return &flow.Attachment{
		ID: f.ID(), Name: f.Name(), QoS: f.QoS(), MPL: f.MPL(), MTU: f.MTU(),
		Port:    f.Port(),
		Terms:   f.Terms(),
		Dealloc: func() error { f.Dealloc(); return nil },
	}, nil
}
