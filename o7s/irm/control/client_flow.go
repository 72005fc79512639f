// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

// Alloc asks for a flow to a service name.
func (c *Client) Alloc(ctx context.Context, name string, qs qos.Spec) (*flow.Attachment, error) {
	named := &irmpb.Named{Name: []byte(name), Qos: qosToPB(qs)}
	return c.attach(ctx, &irmpb.Request{Op: &irmpb.Request_Alloc{Alloc: named}}, named, true)
}

// Accept waits for a flow to the name, or to any name that is bound to this
// process or its program if the name is empty.
func (c *Client) Accept(ctx context.Context, name string) (*flow.Attachment, error) {
	named := &irmpb.Named{Name: []byte(name)}
	return c.attach(ctx, &irmpb.Request{Op: &irmpb.Request_Accept{Accept: named}}, named, false)
}

// Join joins a broadcast layer.
func (c *Client) Join(ctx context.Context, layerName string) (*flow.Attachment, error) {
	named := &irmpb.Named{Name: []byte(layerName)}
	return c.attach(ctx, &irmpb.Request{Op: &irmpb.Request_Join{Join: named}}, named, true)
}

// attach sends a request for a flow and opens the ring that comes back. slot
// says whether the request counts against the client's limit.
func (c *Client) attach(ctx context.Context, r *irmpb.Request, named *irmpb.Named, slot bool) (*flow.Attachment, error) {
	if slot {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.done:
			return nil, c.Err()
		}
	}
	request, kept := c.kept.oldest()
	named.Kept = request
	k, err := c.wait(ctx, r)
	if err != nil {
		if kept != nil {
			kept.Close()
		}
		return nil, err
	}
	end, err := openRing(k, kept)
	if err != nil {
		c.post(deallocRequest(k.id))
		return nil, fmt.Errorf("open flow: %w", err)
	}
	f := k.replies[len(k.replies)-1].GetFlow()
	id, direct := k.id, f.GetDirect()
	if !direct {
		end.Keep(func(k *ring.Kept) { c.kept.put(id, k) })
	}
	return &flow.Attachment{
		ID:    int(f.GetId()),
		Name:  string(f.GetName()),
		QoS:   qosFromPB(f.GetQos()),
		MPL:   time.Duration(f.GetMplNs()),
		MTU:   int(f.GetMtu()),
		Ring:  end,
		Terms: termsFromPB(f),
		Lost:  c.lost,
		Dealloc: func() error {
			// The daemon sees the end of a ring to itself.
			if direct || !end.Taken() {
				c.post(deallocRequest(id))
			}
			return nil
		},
	}, nil
}

// lossPause is how long the loss of a ring's other side may be known before
// that of the connection.
const lossPause = 50 * time.Millisecond

// lost returns why the connection has ended, if it has, or does now.
func (c *Client) lost() error {
	select {
	case <-c.done:
	case <-time.After(lossPause):
	}
	return c.Err()
}

// openRing opens the ring of a granted flow. It takes the files, and what was kept.
func openRing(k *call, kept *ring.Kept) (*ring.End, error) {
	f := k.replies[len(k.replies)-1].GetFlow()
	if f.GetKept() && kept != nil && len(k.files) == 0 {
		return kept.Open(), nil
	}
	if kept != nil {
		kept.Close()
	}
	if f != nil && len(k.files) == 0 {
		return nil, fmt.Errorf("no room for its descriptors (ulimit -n): %w", syscall.EMFILE)
	}
	if f == nil || len(k.files) != maxFiles || f.GetSide() > uint32(ring.SideB) {
		closeFiles(k.files)
		return nil, fmt.Errorf("%w: reply without a flow: %w", errMessage, layer.ErrIRMd)
	}
	return ring.Open(ring.Files{Mem: k.files[0], Bell: k.files[1], Side: ring.Side(f.GetSide())})
}

// Listen binds this process to the name, which is created if it does not
// exist, and registers it in every layer. stop undoes that; so does the end
// of the connection.
func (c *Client) Listen(ctx context.Context, name string) (stop func(), err error) {
	op := &irmpb.Request_Listen{Listen: &irmpb.Named{Name: []byte(name)}}
	replies, err := c.do(ctx, &irmpb.Request{Op: op})
	if err != nil {
		return nil, err
	}
	id := replies[0].GetId()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		op := &irmpb.Request_Unlisten{Unlisten: &irmpb.Unlisten{Request: id}}
		// An error means that the connection has gone, and the name with it.
		_ = c.run(ctx, &irmpb.Request{Op: op})
	}, nil
}

// Query returns nil if a flow to the name is possible: this node or a layer knows
// it; else an error that wraps layer.ErrNoName.
func (c *Client) Query(ctx context.Context, name string) error {
	return c.run(ctx, &irmpb.Request{Op: &irmpb.Request_Query{Query: &irmpb.Named{Name: []byte(name)}}})
}
