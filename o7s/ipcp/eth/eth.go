// SPDX-License-Identifier: BSD-3-Clause

// Package eth is the IPC process of eth-dix and eth-llc layers: flows as
// Ethernet frames with an Ethertype of their own, or IEEE 802.2 LLC frames
// (spec 10 §3, with the guards of §11.2 and spec 60 §3), compatible bit for
// bit with the C prototype 0.23.
//
// Start with New and IPCP.Bootstrap. The way of a packet out is flow.Send,
// egress.Enqueue, outlet.Send; the way in is ingress.run, ingress.frame,
// layer.Inbox. Both framings are in frame.go and wire.go. Allocation is in
// alloc.go (requester) and answer.go (responder), names are in names.go, the
// state of the device in link.go.
package eth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/backlog"
	"o7gw/o7s/ipcp/egress"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// MPL is the maximum packet lifetime of an eth layer (spec 10 §3.1).
const MPL = 100 * time.Millisecond

// Ethertypes that a layer may use (spec 10 §3.1).
const minEthertype, maxEthertype = 0x0600, 0xFFFE

// IPCP is an IPC process of type eth-dix or eth-llc. All methods may be called
// at the same time. Close must not be called from a receiver of one of its
// flows.
type IPCP struct {
	ipcp.Shell

	// Set by bootstrap.
	framing   framing
	hash      layer.HashAlgo
	device    string // name at the time
	index     int    // of the device
	mtu       int    // largest packet of a flow, bytes
	maxManage int    // largest management message, bytes
	sock      *socket
	out       *egress.Egress[struct{}]

	answerWait time.Duration // tests change it

	self    atomic.Pointer[mac] // address of the device
	linked  atomic.Bool         // the device is up and has a carrier
	names   ipcp.Registry
	dir     directory
	flows   flowTable
	stats   counters
	unread  backlog.Gauge // of the socket
	waiting atomic.Int32  // requests and queries that have no answer on the wire yet

	stopped   atomic.Bool    // ends the receiving goroutine
	receiving sync.WaitGroup // that goroutine

	mu      sync.Mutex // guards closing
	closing bool
	replies sync.WaitGroup // on their way to the wire; Add under mu, before closing
}

// New returns an IPC process in state Boot. Types other than EthDIX and EthLLC
// are refused with layer.ErrIPCPType. The result is an *IPCP.
func New(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	if t != ipcp.EthDIX && t != ipcp.EthLLC {
		return nil, fmt.Errorf("new eth IPCP: type %v: %w", t, layer.ErrIPCPType)
	}
	p := &IPCP{answerWait: defaultAnswerWait}
	p.Init(t, env, ipcp.Ops{
		Bootstrap: p.bootstrap,
		Register: func(_ context.Context, name layer.Hash) error {
			p.names.Add(name)
			return nil
		},
		Unregister: func(_ context.Context, name layer.Hash) error {
			p.names.Remove(name)
			return nil
		},
		Query:    p.query,
		Allocate: p.allocate,
		Close:    p.close,
	})
	return p, nil
}

// bootstrap opens the socket and begins to serve.
func (p *IPCP) bootstrap(_ context.Context, cfg ipcp.Config) (info ipcp.Info, err error) {
	p.framing = framing{llc: p.Type() == ipcp.EthLLC}
	if !p.framing.llc {
		p.framing.ethertype = cfg.Eth.Ethertype
		if cfg.Eth.Ethertype == 0 {
			p.framing.ethertype = ipcp.DefaultEthertype
		}
		if e := p.framing.ethertype; e < minEthertype || e > maxEthertype {
			return info, fmt.Errorf("ethertype 0x%04X is not in 0x%04X to 0x%04X: %w", e, minEthertype, maxEthertype, layer.ErrInvalid)
		}
	}
	sock, d, err := listen(cfg.Eth.Device, p.framing)
	if err != nil {
		return info, err
	}
	p.hash = cfg.Hash
	p.device, p.index = d.name, d.index
	p.mtu, p.maxManage = p.framing.sizes(d.mtu)
	if least := p.framing.fixedLen() + p.hash.Size(); p.maxManage < least {
		sock.close()
		return info, fmt.Errorf("device %q has MTU %d, too small for messages of %d bytes: %w", d.name, d.mtu, least, layer.ErrInvalid)
	}
	p.self.Store(&d.addr)
	p.linked.Store(d.up)
	p.flows.first, p.flows.last = p.framing.ids()
	p.sock, p.out = sock, egress.New(newOutlet(sock, &p.stats), &p.stats.egress)
	p.receiving.Go(newIngress(p).run)
	p.Log().Debug("socket open", "device", d.name, "addr", d.addr.String(), "mtu", p.mtu, "up", d.up)
	if !d.up {
		p.Log().Warn("device is down or has no carrier", "device", d.name)
	}
	return ipcp.Info{Layer: cfg.Layer, Hash: p.hash, MTU: p.mtu, MPL: MPL, Uncontrolled: true}, nil
}

// sizes returns the largest packet and the largest management message on a
// device of the given MTU, bytes (spec 10 §3.1).
func (f framing) sizes(deviceMTU int) (mtu, manage int) {
	limit := 65535
	if f.llc {
		limit = maxLength
	}
	mtu = min(deviceMTU, limit) - (f.headerLen() - etherLen)
	return mtu, min(mtu, maxManageFrame-f.headerLen())
}

// send sends a management message.
func (p *IPCP) send(to mac, cube qos.Cube, m message) {
	fr := p.framing
	b := packet.Get(p.maxManage)
	buf, off := b.Backing()
	n := len(m.append(fr, buf[off:off]))
	b.SetLen(n)
	h := b.Prepend(fr.headerLen())
	fr.head(h, to, *p.self.Load(), fr.manageID(), fr.manageID())
	fr.setLen(h, n)
	p.out.Manage(nil, cube, b)
}

// begin begins an answer to the network, ended with later. It reports false,
// and counts, when the IPC process is closing or there are too many.
func (p *IPCP) begin() bool {
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		p.stats.busy.Add(1)
		return false
	}
	if !p.enter() {
		p.waiting.Add(-1)
		return false
	}
	return true
}

// enter makes close wait for a call of later. It reports false when the IPC
// process is closing.
func (p *IPCP) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.replies.Add(1)
	return true
}

// later sends an answer after the delay, which close waits for.
func (p *IPCP) later(delay time.Duration, send func()) {
	done := func() {
		defer p.replies.Done()
		send()
		p.waiting.Add(-1)
	}
	if delay > 0 {
		time.AfterFunc(delay, done)
		return
	}
	done()
}

// close ends all flows, tells peers that understand it, and returns when the
// socket is closed and no goroutine is left. Allocations have ended before.
func (p *IPCP) close() error {
	if p.sock == nil {
		return nil // never bootstrapped
	}
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.replies.Wait()
	flows := slices.DeleteFunc(slices.Collect(p.flows.all()), func(f *flow) bool { return !f.shut() })
	p.stopped.Store(true)
	err := p.sock.wakeAll()
	p.out.Close()
	p.receiving.Wait()
	// Nobody else delivers any more.
	for _, f := range flows {
		f.in.Notify(layer.Closed)
	}
	return errors.Join(err, p.sock.close())
}
