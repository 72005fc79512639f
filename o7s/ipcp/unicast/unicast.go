// SPDX-License-Identifier: BSD-3-Clause

// Package unicast is the unicast IPC process: a member of a layer of any size,
// whose flows are carried hop by hop over flows of the layers below (spec 20),
// compatible bit for bit with the C prototype 0.23.
//
//	       names, flows                              other members
//	            │                                          │
//	directory ──┴── fa (flow allocator, ca)        cep, oep (connections, enrolment)
//	(dht)  │         │                                │          │
//	       └────── dt (data transfer) ◀── pff ◀── routing (linkstate)
//	                 │                                │
//	           Data Transfer flows             Management flows      of layers below
//
// Each component has a folder. This package joins them: it holds what
// needs clocks, goroutines and locks. Start with New; a member is what
// an operational IPC process is made of.
package unicast

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/oep"
	"o7gw/o7s/ipcp/unicast/addr"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// MPL is the maximum packet lifetime of a unicast layer (spec 20 §0.1).
const MPL = 100 * time.Millisecond

// addressTries is how many addresses an enrollee proposes until one is free.
const addressTries = 8

// IPCP is an IPC process of type unicast. All methods may be called at the same
// time. Close must not be called from a receiver of one of its flows.
type IPCP struct {
	ipcp.Shell
	env   ipcp.Env
	conns *cep.Manager
	// member is set once the components run; nil before.
	member atomic.Pointer[member]
}

// New returns an IPC process in state Boot. It needs env.Below.
func New(env ipcp.Env) (*IPCP, error) {
	if env.Below == nil {
		return nil, fmt.Errorf("new unicast IPCP: no layers below: %w", layer.ErrInvalid)
	}
	p := &IPCP{env: env}
	p.conns = cep.New(cep.Config{Below: env.Below, Log: env.Log, Address: addr.Text})
	p.conns.Add(cep.Component{Info: p.info(cep.Enrollment, "OEP", syntaxGPB), Accept: p.acceptEnrollment})
	p.conns.Add(cep.Component{Info: p.info(cep.Management, "LSP", syntaxGPB), Accept: p.acceptManagement})
	p.conns.Add(cep.Component{Info: p.info(cep.DataTransfer, "dtp", syntaxFixed), Accept: p.acceptDataTransfer})
	p.Init(ipcp.Unicast, env, ipcp.Ops{
		Bootstrap:  p.bootstrap,
		Enroll:     p.enroll,
		Register:   p.register,
		Unregister: p.unregister,
		Query:      p.query,
		Allocate:   p.allocate,
		Connect:    p.connect,
		Disconnect: p.conns.Disconnect,
		Close:      p.close,
	})
	return p, nil
}

// Concrete syntaxes that components announce (spec 10 §6.1).
const (
	syntaxGPB   = 0
	syntaxFixed = 2
)

// info returns what a component announces. Only the address is not known
// from the start; that of the enrolment component is 0.
func (p *IPCP) info(component, protocol string, syntax int32) func() cep.Info {
	return func() cep.Info {
		i := cep.Info{Component: component, Protocol: protocol, Version: 1, Syntax: syntax, Caps: ownCaps}
		if m := p.member.Load(); m != nil && component != cep.Enrollment {
			i.Address = m.self
		}
		return i
	}
}

// ownCaps are the extensions toward neighbours that this package uses.
const ownCaps = cep.CapKeepalive | cep.CapLSBatch | cep.CapWithdraw

// bootstrap makes the first member of a layer.
func (p *IPCP) bootstrap(_ context.Context, cfg ipcp.Config) (ipcp.Info, error) {
	self, err := addr.Flat(rand.Reader)
	if err != nil {
		return ipcp.Info{}, err
	}
	return p.start(oep.Membership{Config: cfg}, self)
}

// enroll joins the layer of dst (spec 20 §1.2).
func (p *IPCP) enroll(ctx context.Context, dst string) (info ipcp.Info, err error) {
	for range addressTries {
		self, err := addr.Flat(rand.Reader)
		if err != nil {
			return info, err
		}
		conn, err := p.conns.Dial(ctx, dst, cep.Enrollment, qos.Raw)
		if err != nil {
			return info, err
		}
		_, err = oep.Enroll(ctx, conn, oep.Enrollee{
			Type: ipcp.Unicast, Address: self, Now: time.Now, Rand: rand.Reader, Log: p.Log(),
			Start: func(m oep.Membership) (err error) {
				info, err = p.start(m, self)
				return err
			},
		})
		if !errors.Is(err, oep.ErrTaken) {
			return info, err
		}
		p.Log().Debug("proposed address is taken", "address", addr.Text(self))
	}
	return info, fmt.Errorf("none of %d addresses was free: %w", addressTries, layer.ErrIPCP)
}

// start makes the components and begins to take part in the layer.
func (p *IPCP) start(ms oep.Membership, self uint64) (ipcp.Info, error) {
	ms.Config.Unicast = fill(ms.Config.Unicast)
	if err := check(ms.Config.Unicast); err != nil {
		return ipcp.Info{}, err
	}
	m, err := newMember(p, ms, self)
	if err != nil {
		return ipcp.Info{}, err
	}
	p.member.Store(m)
	p.conns.Start()
	p.Log().Info("joined the layer", "layer", ms.Config.Layer, "address", addr.Text(self))
	return ipcp.Info{Layer: ms.Config.Layer, Hash: ms.Config.Hash, MTU: m.dt.MTU(), MPL: MPL, Uncontrolled: ms.Config.Unicast.Congestion == noCA}, nil
}

// Info describes the layer, with the MTU that flows have at this time: that of
// the neighbours.
func (p *IPCP) Info() ipcp.Info {
	info := p.Shell.Info()
	if m := p.member.Load(); m != nil && info.Layer != "" {
		info.MTU = m.dt.MTU()
	}
	return info
}

// connect connects a component to that of another member, and keeps the
// connection up from then on.
func (p *IPCP) connect(ctx context.Context, dst, component string, qs qos.Spec) error {
	if component != cep.Management && component != cep.DataTransfer {
		return fmt.Errorf("component %q is neither %q nor %q: %w", component, cep.Management, cep.DataTransfer, layer.ErrInvalid)
	}
	return p.conns.Connect(ctx, dst, component, qs)
}

// close ends connections first, so that neighbours see it, then the
// components.
func (p *IPCP) close() error {
	err := p.conns.Close()
	if m := p.member.Load(); m != nil {
		m.close()
	}
	return err
}
