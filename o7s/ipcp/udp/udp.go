// SPDX-License-Identifier: BSD-3-Clause

// Package udp is the IPC process of udp4 and udp6 layers: flows as datagrams
// between UDP sockets (spec 10 §2, with the guards of §11.1), compatible bit
// for bit with the C prototype 0.23.
//
// Start with New and IPCP.Bootstrap. The way of a packet out is flow.Send,
// egress.Enqueue, outlet.Send; the way in is ingress.run, ingress.datagram,
// layer.Inbox. Allocation is in alloc.go (requester) and answer.go
// (responder), names are in directory.go.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/backlog"
	"o7gw/o7s/ipcp/egress"
	"o7gw/o7s/ipcp/udp/ddns"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// MPL is the maximum packet lifetime of a udp layer (spec 10 §2.1).
const MPL = 5 * time.Second

// IPCP is an IPC process of type udp4 or udp6. All methods may be called at
// the same time. Close must not be called from a receiver of one of its
// flows.
type IPCP struct {
	ipcp.Shell

	// Set by bootstrap.
	mtu  int // largest packet of a flow, bytes
	self endpoint
	dir  *directory
	// published is nil without a DNS server.
	published *publisher
	sock      *socket
	out       *egress.Egress[peer]

	// Tests change these.
	dnsPort    uint16 // of DNS servers
	answerWait time.Duration

	names   ipcp.Registry
	flows   flowTable
	stats   counters
	unread  backlog.Gauge // of the socket
	waiting atomic.Int32  // flow requests that have no answer on the wire yet

	stopped   atomic.Bool    // ends the receiving goroutine
	receiving sync.WaitGroup // that goroutine

	mu      sync.Mutex // guards closing
	closing bool
	replies sync.WaitGroup // on their way to the wire; Add under mu, before closing
}

// New returns an IPC process in state Boot. Types other than UDP4 and UDP6
// are refused with layer.ErrIPCPType. The result is an *IPCP.
func New(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	if t != ipcp.UDP4 && t != ipcp.UDP6 {
		return nil, fmt.Errorf("new udp IPCP: type %v: %w", t, layer.ErrIPCPType)
	}
	p := &IPCP{dnsPort: ddns.Port, answerWait: defaultAnswerWait}
	p.Init(t, env, ipcp.Ops{
		Bootstrap:  p.bootstrap,
		Register:   p.register,
		Unregister: p.unregister,
		Query:      p.query,
		Allocate:   p.allocate,
		Close:      p.close,
	})
	return p, nil
}

// bootstrap binds the socket and begins to serve.
func (p *IPCP) bootstrap(_ context.Context, cfg ipcp.Config) (info ipcp.Info, err error) {
	if p.self, err = ownAddress(p.Type(), cfg.UDP); err != nil {
		return info, err
	}
	ipMTU := cfg.UDP.MTU
	if ipMTU == 0 {
		if ipMTU, err = deviceMTU(p.self); err != nil {
			return info, err
		}
	}
	if p.mtu, err = packetMTU(p.Type(), ipMTU); err != nil {
		return info, err
	}
	if p.dir, err = newDirectory(cfg.UDP, p.self); err != nil {
		return info, err
	}
	sock, err := listen(p.self, p.Log())
	if err != nil {
		return info, err
	}
	p.useDNS(cfg.UDP)
	p.sock, p.out = sock, egress.New(newOutlet(sock, &p.stats), &p.stats.egress)
	p.receiving.Go(newIngress(p).run)
	p.Log().Debug("socket open", "addr", p.self.String(), "mtu", p.mtu, "gso", sock.gso.Load(), "gro", sock.gro)
	return ipcp.Info{Layer: cfg.Layer, Hash: layer.MD5, MTU: p.mtu, MPL: MPL, Uncontrolled: true}, nil
}

// ownAddress checks the configured addresses and returns the own one.
func ownAddress(t ipcp.Type, cfg ipcp.UDPConfig) (endpoint, error) {
	a, port := cfg.Addr, cfg.Port
	if port == 0 {
		port = ipcp.DefaultUDPPort
	}
	switch {
	case !a.IsValid():
		return endpoint{}, fmt.Errorf("no IP address: %w", layer.ErrInvalid)
	case a.IsUnspecified() || a.IsMulticast():
		return endpoint{}, fmt.Errorf("cannot use IP address %v: %w", a, layer.ErrInvalid)
	case a.Is4() != (t == ipcp.UDP4) || a.Is4In6():
		return endpoint{}, fmt.Errorf("%v is no address of %v: %w", a, t, layer.ErrInvalid)
	case cfg.DNS.IsMulticast():
		return endpoint{}, fmt.Errorf("cannot use address %v of a DNS server: %w", cfg.DNS, layer.ErrInvalid)
	case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
		return endpoint{}, fmt.Errorf("link-local address %v needs a zone, as in %v%%eth0: %w", a, a, layer.ErrInvalid)
	}
	return newEndpoint(netip.AddrPortFrom(a, port))
}

// send sends the management message that encode appends.
func (p *IPCP) send(to *peer, cube qos.Cube, encode func([]byte) []byte) {
	b := packet.Get(maxManage)
	buf, off := b.Backing()
	b.SetLen(len(encode(buf[off:off])))
	p.out.Manage(to, cube, b)
}

// close ends all flows, tells peers that understand it, and returns when the
// socket is closed and no goroutine is left. Allocations have ended before.
func (p *IPCP) close() error {
	if p.sock == nil {
		return nil // never bootstrapped
	}
	if p.published != nil { // first: whoever looks finds nobody that closes
		p.published.close()
		p.dir.dns.running.Wait()
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

// enter begins the answer to a request, ended with replies.Done. It reports
// false when the IPC process is closing.
func (p *IPCP) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.replies.Add(1)
	return true
}
