// SPDX-License-Identifier: BSD-3-Clause

// Package broadcast is the broadcast IPC process (spec 10 §9): what one
// application writes, all others that have joined the layer read, on all
// members. Members are connected by flows of the layers below, on which every packet
// is one packet of an application, unchanged; a member passes it on to all
// neighbours but the one that it came from.
//
//	applications of this node          other members
//	          │                              │
//	         app ─────────── hub ────── cep connections
//
// Compatible with the C prototype 0.23. Nothing on the wire stops a packet that goes
// round, so connections should form a tree; members of this package break cycles
// among themselves (type repeats, docs/extensions.md §9).
//
// Start with New.
package broadcast

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/oep"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// MPL is the maximum packet lifetime of a broadcast layer (spec 10 §9.3).
const MPL = 100 * time.Millisecond

// IPCP is an IPC process of type broadcast. All methods may be called at the same
// time. Close must not be called from a receiver of one of its flows.
type IPCP struct {
	ipcp.Shell
	env     ipcp.Env
	conns   *cep.Manager
	hub     *hub
	config  ipcp.Config // set before the connections start
	unmount []func()    // takes the statistics out of the RIB; likewise
}

var _ ipcp.IPCP = (*IPCP)(nil)

// New returns an IPC process in state BOOT. It needs env.Below.
func New(env ipcp.Env) (*IPCP, error) {
	if env.Below == nil {
		return nil, fmt.Errorf("new broadcast IPCP: no layers below: %w", layer.ErrInvalid)
	}
	p := &IPCP{env: env, hub: newHub(env.Log)}
	p.conns = cep.New(cep.Config{Below: env.Below, Log: env.Log})
	p.conns.Add(cep.Component{Info: func() cep.Info {
		return cep.Info{Component: cep.Enrollment, Protocol: "OEP", Version: 1, Caps: ownCaps}
	}, Accept: p.acceptEnrollment})
	p.conns.Add(cep.Component{Info: func() cep.Info {
		return cep.Info{Component: cep.DataTransfer, Caps: ownCaps}
	}, Accept: p.acceptDataTransfer})
	p.Init(ipcp.Broadcast, env, ipcp.Ops{
		Bootstrap:  p.bootstrap,
		Enroll:     p.enroll,
		Join:       p.join,
		Connect:    p.connect,
		Disconnect: p.conns.Disconnect,
		Close:      p.close,
	})
	return p, nil
}

// ownCaps are the extensions toward neighbours that this package uses.
const ownCaps = cep.CapKeepalive

// bootstrap makes the first member of a layer.
func (p *IPCP) bootstrap(_ context.Context, cfg ipcp.Config) (ipcp.Info, error) {
	return p.start(cfg)
}

// enroll joins the layer of dst.
func (p *IPCP) enroll(ctx context.Context, dst string) (info ipcp.Info, err error) {
	conn, err := p.conns.Dial(ctx, dst, cep.Enrollment, qos.Raw)
	if err != nil {
		return info, err
	}
	_, err = oep.Enroll(ctx, conn, oep.Enrollee{
		Type: ipcp.Broadcast, Now: time.Now, Rand: rand.Reader, Log: p.Log(),
		Start: func(m oep.Membership) (err error) {
			info, err = p.start(m.Config)
			return err
		},
	})
	return info, err
}

// start begins to take part in the layer.
func (p *IPCP) start(cfg ipcp.Config) (ipcp.Info, error) {
	// The prototype forces this, too; another one in the configuration of a layer is
	// no reason to stay outside (spec 10 §9.3).
	cfg.Hash = layer.SHA3_256
	p.config = cfg
	p.unmount = []func(){
		p.env.RIB.Mount("neighbours", ribDir{p.hub}),
		p.env.RIB.Mount("connections", p.conns.RIB()),
	}
	p.conns.Start()
	p.Log().Info("joined the layer", "layer", cfg.Layer)
	return ipcp.Info{Layer: cfg.Layer, Hash: cfg.Hash, MTU: maxPacket, MPL: MPL}, nil
}

// acceptEnrollment serves an enrollee.
func (p *IPCP) acceptEnrollment(c *cep.Conn) {
	if c.Initiated() { // we are the enrollee
		return
	}
	oep.Serve(p.Context(), c, oep.Member{
		Membership: func() oep.Membership { return oep.Membership{Config: p.config} },
		Now:        time.Now, Log: p.Log(),
	})
}

// acceptDataTransfer takes a new connection, from either side.
func (p *IPCP) acceptDataTransfer(c *cep.Conn) {
	if !c.Ours() {
		// A keepalive makes all of a prototype wait for the next packet from us
		// (BC-3). Without them it takes us for dead, but goes on to send and
		// to receive; only its own keepalives cease, so that we cannot tell
		// its death by them.
		c.SetLiveness(0, 0)
	}
	p.hub.attach(c)
}

// connect connects to another member, and keeps the connection up from then
// on. A broadcast IPC process has no management.
func (p *IPCP) connect(ctx context.Context, dst, component string, qs qos.Spec) error {
	if component != cep.DataTransfer {
		return fmt.Errorf("a broadcast IPCP has no component %q, only %q: %w", component, cep.DataTransfer, layer.ErrInvalid)
	}
	// No keepalives of a prototype either; our own members agree on others.
	qs.Timeout = 0
	return p.conns.Connect(ctx, dst, component, qs)
}

// join adds an application of this node. The prototype accepts half of all
// wrong hashes (BC-1).
func (p *IPCP) join(_ context.Context, name layer.Hash) (layer.Port, error) {
	if info := p.Info(); name != info.Hash.Sum(info.Layer) {
		return nil, fmt.Errorf("join: %s is not the hash of layer %q: %w", name.Hex(), info.Layer, layer.ErrNoName)
	}
	return p.hub.join()
}

// close ends connections, so that neighbours see it, and then the flows of
// applications.
func (p *IPCP) close() error {
	err := p.conns.Close()
	for _, n := range p.hub.close() {
		if s, ok := n.out.(*appSender); ok {
			s.in.Notify(layer.Closed)
		}
	}
	for _, f := range p.unmount {
		f()
	}
	return err
}
