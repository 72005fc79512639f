// SPDX-License-Identifier: BSD-3-Clause

// Package udp is the IPC process of udp4 and udp6 layers: flows as datagrams
// between UDP sockets (spec 10 §2, with the guards of §11.1), compatible bit
// for bit with the C prototype 0.23.
//
// Start with New and IPCP.Bootstrap. The way of a packet out is flow.Send,
// egress.enqueue, outlet.send; the way in is ingress.run, ingress.datagram,
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
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// MPL is the maximum packet lifetime of a udp layer (spec 10 §2.1).
const MPL = 5 * time.Second

// IPCP is an IPC process of type udp4 or udp6. All methods may be called at
// the same time.
type IPCP struct {
	typ   ipcp.Type
	env   ipcp.Env
	state atomic.Int32 // an ipcp.State

	life  sync.Mutex // one Bootstrap or Close at a time
	layer string
	mtu   int // largest packet of a flow, bytes
	self  endpoint
	dir   *directory
	sock  *socket
	out   *egress
	in    sync.WaitGroup // the receiving goroutine

	flows flowTable
	stats counters

	mu      sync.Mutex // guards what follows
	names   map[layer.Hash]struct{}
	waiting int            // flow requests that have no answer on the wire yet
	closing bool           // nothing new begins
	busy    sync.WaitGroup // allocations, and replies that are delayed
	quit    chan struct{}  // closed when closing becomes true
}

var _ ipcp.IPCP = (*IPCP)(nil)

// New returns an IPC process in state Boot. Types other than UDP4 and UDP6
// are refused with layer.ErrIPCPType. The result is an *IPCP.
func New(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	if t != ipcp.UDP4 && t != ipcp.UDP6 {
		return nil, fmt.Errorf("new udp IPCP: type %v: %w", t, layer.ErrIPCPType)
	}
	p := &IPCP{typ: t, env: env, names: make(map[layer.Hash]struct{}), quit: make(chan struct{})}
	p.state.Store(int32(ipcp.Boot))
	return p, nil
}

// Type returns UDP4 or UDP6.
func (p *IPCP) Type() ipcp.Type { return p.typ }

// State returns the state; it is safe to call at any time.
func (p *IPCP) State() ipcp.State { return ipcp.State(p.state.Load()) }

// Info describes the layer.
func (p *IPCP) Info() ipcp.Info {
	if p.State() != ipcp.Operational {
		return ipcp.Info{}
	}
	return ipcp.Info{Layer: p.layer, Hash: layer.MD5, MTU: p.mtu, MPL: MPL}
}

// Bootstrap binds the socket and begins to serve.
func (p *IPCP) Bootstrap(_ context.Context, cfg ipcp.Config) error {
	p.life.Lock()
	defer p.life.Unlock()
	if p.State() != ipcp.Boot {
		return fmt.Errorf("bootstrap %v: state %v: %w", p.typ, p.State(), layer.ErrIPCPState)
	}
	if err := p.bootstrap(cfg); err != nil {
		return fmt.Errorf("bootstrap %v: %w", p.typ, err)
	}
	p.env.Log.Info("bootstrapped", "type", p.typ.String(), "layer", p.layer, "addr", p.self.String(), "mtu", p.mtu,
		"gso", p.sock.gso.Load(), "gro", p.sock.gro)
	return nil
}

func (p *IPCP) bootstrap(cfg ipcp.Config) error {
	if cfg.Type != p.typ {
		return fmt.Errorf("configuration is for type %v: %w", cfg.Type, layer.ErrInvalid)
	}
	if len(cfg.Layer) < 1 || len(cfg.Layer) > 255 {
		return fmt.Errorf("layer name has %d bytes, not 1 to 255: %w", len(cfg.Layer), layer.ErrInvalid)
	}
	self, err := p.ownAddress(cfg.UDP)
	if err != nil {
		return err
	}
	ipMTU := cfg.UDP.MTU
	if ipMTU == 0 {
		if ipMTU, err = deviceMTU(self); err != nil {
			return err
		}
	}
	mtu, err := packetMTU(p.typ, ipMTU)
	if err != nil {
		return err
	}
	dir, err := newDirectory(cfg.UDP, self)
	if err != nil {
		return err
	}
	sock, err := listen(self)
	if err != nil {
		return err
	}
	sock.log = p.env.Log
	p.layer, p.mtu, p.self, p.dir, p.sock = cfg.Layer, mtu, self, dir, sock
	p.out = newEgress(sock, &p.stats)
	p.state.Store(int32(ipcp.Operational))
	p.in.Go(newIngress(p).run)
	return nil
}

// ownAddress checks the configured address.
func (p *IPCP) ownAddress(cfg ipcp.UDPConfig) (endpoint, error) {
	a, port := cfg.Addr, cfg.Port
	if port == 0 {
		port = ipcp.DefaultUDPPort
	}
	switch {
	case !a.IsValid():
		return endpoint{}, fmt.Errorf("no IP address: %w", layer.ErrInvalid)
	case a.IsUnspecified() || a.IsMulticast():
		return endpoint{}, fmt.Errorf("cannot use IP address %v: %w", a, layer.ErrInvalid)
	case !p.suits(a):
		return endpoint{}, fmt.Errorf("%v is no address of %v: %w", a, p.typ, layer.ErrInvalid)
	case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
		return endpoint{}, fmt.Errorf("link-local address %v needs a zone, as in %v%%eth0: %w", a, a, layer.ErrInvalid)
	}
	return newEndpoint(netip.AddrPortFrom(a, port))
}

// suits reports whether an address is of the type's family.
func (p *IPCP) suits(a netip.Addr) bool {
	return a.Is4() == (p.typ == ipcp.UDP4) && !a.Is4In6()
}

// Enroll is not supported: members of a udp layer do not know each other.
func (p *IPCP) Enroll(context.Context, string) error { return layer.ErrNotSupported }

// Connect is not supported.
func (p *IPCP) Connect(context.Context, string, string, qos.Spec) error {
	return layer.ErrNotSupported
}

// Disconnect is not supported.
func (p *IPCP) Disconnect(context.Context, string, string) error { return layer.ErrNotSupported }

// Join is not supported: a udp layer has no broadcast.
func (p *IPCP) Join(context.Context, layer.Hash) (layer.Port, error) {
	return nil, layer.ErrNotSupported
}

// Register makes requests for the name go up. Others are refused
// (UDP-16 of spec 10 §11.1).
func (p *IPCP) Register(_ context.Context, name layer.Hash) error {
	if len(name) != hashLen {
		return fmt.Errorf("register: hash has %d bytes, not %d: %w", len(name), hashLen, layer.ErrInvalid)
	}
	p.mu.Lock()
	p.names[name] = struct{}{}
	p.mu.Unlock()
	return nil
}

// Unregister ends that.
func (p *IPCP) Unregister(_ context.Context, name layer.Hash) error {
	p.mu.Lock()
	delete(p.names, name)
	p.mu.Unlock()
	return nil
}

// Query looks the name up in the address map and the hosts file. As in the
// prototype, own registrations do not count: a name served here is found
// only if the map says so.
func (p *IPCP) Query(_ context.Context, name layer.Hash) error {
	if p.State() != ipcp.Operational {
		return layer.ErrIPCPState
	}
	addrs, err := p.dir.lookup(name, time.Now())
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		return layer.ErrNoName
	}
	return nil
}

// Close ends all flows, tells peers that understand it, and returns when the
// socket is closed and no goroutine is left. It must not be called from a
// receiver of one of its flows.
func (p *IPCP) Close() error {
	p.life.Lock()
	defer p.life.Unlock()
	was := p.State()
	p.state.Store(int32(ipcp.Shutdown))
	if was != ipcp.Operational {
		return nil
	}
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	close(p.quit)
	p.busy.Wait()
	flows := slices.DeleteFunc(slices.Collect(p.flows.all()), func(f *flow) bool { return !f.shut() })
	err := p.sock.wakeAll()
	p.out.close()
	p.in.Wait()
	// Nobody else delivers any more.
	for _, f := range flows {
		f.in.Notify(layer.Closed)
	}
	return errors.Join(err, p.sock.close())
}

// enter begins something that Close must wait for, with busy.Done at its end.
// It reports false when the IPC process is closing.
func (p *IPCP) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.busy.Add(1)
	return true
}
