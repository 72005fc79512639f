// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/ring"
)

// call is a request under way. It leaves Client.calls when its last reply has
// come; who removes it fills in the result and closes done.
type call struct {
	id      uint64
	done    chan struct{}
	replies []*irmpb.Reply
	files   []ring.FD // of a granted flow
	err     error
	// abandoned: the caller has gone, nobody reads the result. Guarded by
	// Client.mu.
	abandoned bool
}

// end finishes the call.
func (k *call) end(err error) {
	k.err = err
	close(k.done)
}

// do sends a request and returns its replies: one, or the pages of a list.
func (c *Client) do(ctx context.Context, r *irmpb.Request) ([]*irmpb.Reply, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
		return nil, c.Err()
	}
	k, err := c.wait(ctx, r)
	if err != nil {
		return nil, err
	}
	closeFiles(k.files)
	return k.replies, nil
}

// run is do for requests without a result.
func (c *Client) run(ctx context.Context, r *irmpb.Request) error {
	_, err := c.do(ctx, r)
	return err
}

// wait sends a request and waits for its last reply. The files of a
// successful call belong to the caller.
func (c *Client) wait(ctx context.Context, r *irmpb.Request) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		// The daemon's clock for the request; ours is ctx.
		r.TimeoutMs = uint64(max(1, time.Until(deadline).Milliseconds()))
	}
	k, err := c.send(r)
	if err != nil {
		return nil, err
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		if c.abandon(k) {
			return nil, ctx.Err()
		}
		<-k.done // the result was faster
	}
	if k.err != nil {
		return nil, k.err
	}
	return k, nil
}

// send registers a call and puts its request into the queue.
func (c *Client) send(r *irmpb.Request) (*call, error) {
	k := &call{done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.next++
	k.id, r.Id = c.next, c.next
	b, err := proto.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if len(b) > MaxRequest {
		return nil, fmt.Errorf("request of %d bytes is longer than %d: %w", len(b), MaxRequest, layer.ErrInvalid)
	}
	c.calls[k.id] = k
	c.enqueueLocked(b)
	return k, nil
}

// abandon tells the daemon that nobody waits for the call any more. It reports
// false if the call is over already. A flow that was granted meanwhile is
// given back when its reply arrives.
func (c *Client) abandon(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[k.id] != k {
		return false
	}
	k.abandoned = true
	c.postLocked(&irmpb.Request{Op: &irmpb.Request_Cancel{Cancel: &irmpb.Cancel{Request: k.id}}})
	return true
}

// read takes replies until the connection ends.
func (c *Client) read() {
	m := newMessage(MaxReply, maxFiles)
	for {
		b, files, err := m.receive(c.conn)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the daemon closed it")
			}
			c.fail(err)
			return
		}
		r := new(irmpb.Reply)
		if err := proto.Unmarshal(b, r); err != nil {
			closeFiles(files)
			c.fail(fmt.Errorf("reply: %w", err))
			return
		}
		if err := c.deliver(r, files); err != nil {
			c.fail(err)
			return
		}
	}
}

// deliver hands a reply to its call.
func (c *Client) deliver(r *irmpb.Reply, files []ring.FD) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[r.GetId()]
	if k == nil || len(k.replies) >= maxPages {
		closeFiles(files)
		return fmt.Errorf("reply %d: nobody asked for it", r.GetId())
	}
	if r.GetMore() {
		closeFiles(files) // flows have one reply
		if !k.abandoned {
			k.replies = append(k.replies, r)
		}
		return nil
	}
	delete(c.calls, k.id)
	if k.abandoned {
		closeFiles(files)
		if r.GetCode() == 0 && r.GetFlow() != nil {
			c.postLocked(deallocRequest(k.id))
		}
		return nil
	}
	k.replies, k.files = append(k.replies, r), files
	err := errorOf(r)
	if err != nil {
		closeFiles(files)
	}
	k.end(err)
	return nil
}

func deallocRequest(id uint64) *irmpb.Request {
	return &irmpb.Request{Op: &irmpb.Request_Dealloc{Dealloc: &irmpb.Dealloc{Request: id}}}
}
