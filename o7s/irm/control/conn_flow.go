// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/irm"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/ring"
)

// granted is a flow that the client has.
type granted struct {
	flow   *irm.Flow
	bridge *bridge // nil for a direct flow
	ending bool    // the client has deallocated it; guarded by conn.mu
}

// flow executes a request for a flow; ok is false for any other.
func (c *conn) flow(ctx context.Context, r *irmpb.Request) (f *irm.Flow, ok bool, err error) {
	switch op := r.GetOp().(type) {
	case *irmpb.Request_Alloc:
		f, err = c.proc.Alloc(ctx, string(op.Alloc.GetName()), qosFromPB(op.Alloc.GetQos()))
	case *irmpb.Request_Accept:
		f, err = c.proc.Accept(ctx, string(op.Accept.GetName()))
	case *irmpb.Request_Join:
		f, err = c.proc.Join(ctx, string(op.Join.GetName()))
	default:
		return nil, false, nil
	}
	if err == nil && ctx.Err() != nil {
		// The client gave up while the flow was made.
		f.Dealloc()
		f, err = nil, fmt.Errorf("flow was made too late: %w", ctx.Err())
	}
	return f, true, err
}

// grant makes the files of a flow for the client and fills in the reply. It
// runs in send, so that at most one flow of a connection has files here
// that the client does not have yet. The caller closes the files.
func (c *conn) grant(r reply) (ring.Files, error) {
	if err := c.s.takeFlow(c.creds); err != nil {
		return ring.Files{}, err
	}
	files, err := c.grantFlow(r)
	if err != nil {
		c.s.giveFlow(c.creds)
	}
	return files, err
}

// grantFlow is grant within the limit of flows.
func (c *conn) grantFlow(r reply) (ring.Files, error) {
	g := &granted{flow: r.flow}
	files, direct := r.flow.Ring()
	if !direct {
		var err error
		if files, err = c.newRing(g, r.msg.GetId(), r.kept); err != nil {
			return ring.Files{}, err
		}
	} else if k := c.kept.take(r.kept); k != nil {
		k.Close() // the client will, too
	}
	id := r.msg.GetId()
	c.mu.Lock()
	twice := c.flows[id] != nil
	if !twice {
		c.flows[id] = g
	}
	c.mu.Unlock()
	if twice { // the client used an id again: only it can mean to
		files.Close()
		c.endBridge(g)
		g.flow.Dealloc()
		return ring.Files{}, fmt.Errorf("request %d is used twice: %w", id, layer.ErrInvalid)
	}
	if g.bridge != nil && g.bridge.over() { // before it was entered
		c.remove(id, g)
	}
	f := &irmpb.Flow{
		Id: int64(r.flow.ID()), Name: []byte(r.flow.Name()), Qos: qosToPB(r.flow.QoS()),
		MplNs: int64(r.flow.MPL()), Mtu: int64(min(r.flow.MTU(), ring.MaxPacket)), Side: uint32(files.Side),
		Kept: g.bridge != nil && !files.Mem.Valid(),
	}
	termsToPB(f, r.flow.Terms())
	r.msg.Result = &irmpb.Reply_Flow{Flow: f}
	return files, nil
}

// newRing makes a ring to the client, bridges it with the port of the flow that the
// request has got, and returns the client's files: none if the ring is the one that
// both sides have kept.
func (c *conn) newRing(g *granted, request, kept uint64) (ring.Files, error) {
	fail := func(err error) (ring.Files, error) {
		return ring.Files{}, fmt.Errorf("make ring of flow %d: %w", g.flow.ID(), err)
	}
	port := g.flow.Port()
	if port == nil { // ended meanwhile
		return fail(layer.ErrNotAllocated)
	}
	if err := c.s.takeBridge(c.creds); err != nil {
		return fail(err)
	}
	ours, theirs, err := c.openRing(kept)
	if err != nil {
		c.s.giveBridge(c.creds)
		return fail(err)
	}
	ours.Keep(func(k *ring.Kept) { c.kept.put(request, k) })
	g.bridge = newBridge(ours, c.poller, port, func() { c.remove(request, g) })
	return theirs, nil
}

// bridgeRing is the size, in bytes, of the rings between the daemon and an
// application. The daemon cannot wait for room, so the ring takes what the
// socket buffer of the udp layer would: what a TCP connection has under way,
// before the application is on a processor again. Pages are only taken when
// used.
const bridgeRing = 4 << 20

// openRing makes a ring, or takes the one that was kept, and opens our end of it.
func (c *conn) openRing(kept uint64) (*ring.End, ring.Files, error) {
	if c.poller == nil {
		p, err := ring.NewPoller()
		if err != nil {
			return nil, ring.Files{}, err
		}
		c.poller = p
	}
	if k := c.kept.take(kept); k != nil {
		return k.Renew(), ring.Files{}, nil
	}
	return ring.NewEnd(ring.Config{Size: bridgeRing})
}

// rightsOf packs the files of a ring into control data. They must stay open
// until it was sent.
func rightsOf(f ring.Files) []byte { return unix.UnixRights(f.Mem.Int(), f.Bell.Int()) }

// linger is how long a flow may take to pass on what the application wrote
// before it closed the ring or died.
const linger = time.Second

// dealloc ends a flow that the client has finished with. If it has a bridge, the
// client has closed its ring and the bridge ends by itself, at the latest
// after linger.
func (c *conn) dealloc(request uint64) {
	c.mu.Lock()
	g := c.flows[request]
	if g == nil || g.ending {
		c.mu.Unlock()
		return
	}
	g.ending = true
	c.mu.Unlock()
	if g.bridge == nil {
		c.remove(request, g)
		return
	}
	c.wg.Go(func() {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-g.bridge.ended:
		case <-timer.C:
			g.bridge.close()
		case <-c.ctx.Done(): // endFlows will do it
		}
	})
}

// revoke ends a flow that the client has not got.
func (c *conn) revoke(request uint64) {
	c.mu.Lock()
	g := c.flows[request]
	c.mu.Unlock()
	if g != nil {
		c.remove(request, g)
	}
}

// remove ends a flow, unless that was done.
func (c *conn) remove(request uint64, g *granted) {
	c.mu.Lock()
	known := c.flows[request] == g
	if known {
		delete(c.flows, request)
		c.removing.Add(1)
	}
	c.mu.Unlock()
	if known {
		c.end(g)
		c.removing.Done()
	}
}

// drainFlows waits until the layers have got what the application wrote
// before it went.
func (c *conn) drainFlows() {
	if c.poller == nil {
		return
	}
	c.mu.Lock()
	flows := slices.Collect(maps.Values(c.flows))
	c.mu.Unlock()
	for end := time.Now().Add(linger); ; time.Sleep(drainPause) {
		flows = slices.DeleteFunc(flows, func(g *granted) bool { return g.bridge == nil || g.bridge.drained() })
		if len(flows) == 0 || time.Now().After(end) {
			break
		}
	}
	c.poller.Close() // waits for the batch in its hands
}

// drainPause is between looks at rings that are being drained.
const drainPause = time.Millisecond

// endFlows ends what the client has left.
func (c *conn) endFlows() {
	c.mu.Lock()
	flows := c.flows
	c.flows = nil
	c.mu.Unlock()
	for _, g := range flows {
		c.end(g)
	}
	c.removing.Wait()
}

// end ends a flow on both sides.
func (c *conn) end(g *granted) {
	c.endBridge(g)
	g.flow.Dealloc()
	c.s.giveFlow(c.creds)
}

func (c *conn) endBridge(g *granted) {
	if g.bridge != nil {
		g.bridge.close()
		c.s.giveBridge(c.creds)
	}
}
