// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/ring"
)

// errGone: the requester did not wait for the flow.
var errGone = errors.New("requester has gone")

// Accept waits for a flow to a name to which the process is bound: any if s
// is empty. A request that fails half-way does not end the wait. The end of
// ctx is reported as layer.ErrTimedOut if it was a deadline, else as
// context.Canceled; there is no other limit.
func (p *Process) Accept(ctx context.Context, s string) (*Flow, error) {
	fail := func(err error) error {
		if s == "" {
			return fmt.Errorf("accept flow: %w", waitError(err))
		}
		return fmt.Errorf("accept flow for %q: %w", s, waitError(err))
	}
	for {
		r, err := p.nextRequest(ctx, s)
		if err != nil {
			return nil, fail(err)
		}
		var f *Flow
		if r.m != nil {
			f, err = p.acceptNetwork(ctx, r)
		} else {
			f, err = p.acceptDirect(ctx, r)
		}
		if err == nil {
			return f, nil
		}
		if ctx.Err() == nil && !errors.Is(err, errGone) && !errors.Is(err, ErrDetached) {
			p.irm.warnBy(r.cause(), "Failed to accept flow for %v: %v.", text(r.n.name), err)
		}
		if err := ctx.Err(); err != nil {
			return nil, fail(err)
		}
	}
}

// directMPL is the maximum packet lifetime of a flow between two processes
// of one node, as the prototype has it.
const directMPL = time.Millisecond

// acceptDirect makes both ends of a flow between two local processes.
func (p *Process) acceptDirect(ctx context.Context, r *request) (*Flow, error) {
	i, c := p.irm, r.client
	peers, err := p.meet(ctx, r)
	if err != nil {
		return nil, err
	}
	var here, there wire
	if p.info.External && c.info.External {
		a, b, err := ring.New(ring.Config{})
		if err != nil {
			err = fmt.Errorf("make ring: %w", err)
			r.fail(err)
			return nil, err
		}
		here, there = wire{files: a, ring: true, mtu: ring.MaxPacket}, wire{files: b, ring: true, mtu: ring.MaxPacket}
	} else {
		a, b := layer.Pipe()
		here, there = wire{port: a, mtu: a.MTU()}, wire{port: b, mtu: b.MTU()}
	}
	server, client, err := p.joinDirect(r, here, there, peers)
	if err != nil {
		here.close()
		there.close()
		return nil, err
	}
	i.infoBy(c.cause(), "Flow %d accepted (direct) by %d for %v.", server.id, p.pid(), text(r.n.name))
	i.infoBy(c.cause(), "Flow %d allocated (direct) for %d to %v.", client.id, c.pid(), text(r.n.name))
	return server, nil
}

// joinDirect enters both ends and settles the request, if both processes are
// still there.
func (p *Process) joinDirect(r *request, here, there wire, peers peers) (server, client *Flow, err error) {
	i, c := p.irm, r.client
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case p.closed:
		r.requeueLocked()
		return nil, nil, ErrDetached
	case c.closed:
		r.settleLocked()
		return nil, nil, errGone
	}
	server, client = p.addFlowLocked(r.n.name, r.qs), c.addFlowLocked(r.n.name, r.qs)
	server.server, server.direct, server.peer, server.mpl = true, true, client.id, directMPL
	server.cause = c.cause()
	client.direct, client.peer, client.mpl = true, server.id, directMPL
	// A pipe inside this process may lose packets, as a layer may.
	server.readyLocked(here, flow.Terms{Direct: here.ring, Server: true, PeerCaps: ownCaps, Peer: peers.client})
	client.readyLocked(there, flow.Terms{Direct: there.ring, PeerCaps: ownCaps, Peer: peers.server})
	r.flow = client
	r.settleLocked()
	return server, client, nil
}

// acceptNetwork answers a request that came through a member.
func (p *Process) acceptNetwork(ctx context.Context, r *request) (*Flow, error) {
	pol, err := r.n.serverPolicy(p.irm)
	if err != nil {
		r.fail(err)
		return nil, err
	}
	done, err := p.turn(ctx, r)
	if err != nil {
		return nil, err
	}
	f, err := p.pendingAccept(r)
	if err != nil {
		done()
		return nil, err
	}
	// Only who announced extensions may be told of ours (spec 60 §2).
	var data []byte
	if r.aware {
		data = oap.AppendCaps(nil, ownCaps)
	}
	s, response, err := r.respond(pol, data)
	done()
	if err != nil {
		f.Dealloc()
		r.refuse(codeOf(err))
		return nil, err
	}
	return f, p.finishAccept(f, r, s, response)
}

// pendingAccept settles a request from the network and enters the flow that
// it asks for.
func (p *Process) pendingAccept(r *request) (*Flow, error) {
	i := p.irm
	i.mu.Lock()
	if p.closed {
		i.mu.Unlock()
		r.giveBack()
		return nil, ErrDetached
	}
	r.settleLocked()
	if !r.fitsLocked(p) { // since just now
		i.mu.Unlock()
		r.refuse(layer.ErrIPCP)
		return nil, errText("the layer of the requester stands on the IPCP", layer.ErrIPCP)
	}
	defer i.mu.Unlock()
	f := p.addFlowLocked(r.n.name, r.qs)
	f.server, f.mpl, f.cause = true, r.m.info.MPL, cause{m: r.m}
	f.carryLocked(r.m)
	return f, nil
}

// finishAccept sends the response and makes the flow an allocated one.
func (p *Process) finishAccept(f *Flow, r *request, s *oap.Session, response []byte) error {
	port, err := r.answer.Accept(response)
	if err != nil {
		f.Dealloc()
		return err
	}
	if _, ok := r.answer.(layer.PeerAware); !ok { // it has been told
		setPeerCaps(port, r.caps)
	}
	terms := flow.Terms{Server: true, PeerCaps: r.caps, Shim: r.m.ipcp.Info().Uncontrolled, Cipher: s.Cipher, Key: s.Key, Peer: s.Peer}
	if err := f.ready(wire{port: port, mtu: port.MTU()}, terms); err != nil {
		return err
	}
	p.irm.infoBy(f.cause, "Flow %d accepted by %d for %v (uid %d).", f.id, p.pid(), text(r.n.name), p.info.Creds.UID)
	return nil
}

// ownCaps are the extensions that this node understands.
const ownCaps = layer.CapTeardown | layer.CapFRCP | layer.CapSequenced

func setPeerCaps(port layer.Port, c layer.Caps) {
	if a, ok := port.(layer.PeerAware); ok {
		a.SetPeerCaps(c)
	}
}
