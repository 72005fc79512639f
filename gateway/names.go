// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"o7gw/gateway/config"
	"o7gw/gateway/intercept"
	"o7gw/gateway/resolved"
	"o7gw/o7s/layer"
	"o7gw/proxy/names"
)

// nameService is the object of [names]: the addresses that stand for names,
// and the DNS server that tells them.
type nameService struct {
	*names.Server
	pool *names.Pool
	log  *slog.Logger

	mu   sync.Mutex
	cfg  config.Names
	undo map[string]func() // of systemd-resolved, by interface
}

var _ intercept.Names = (*nameService)(nil)

// queryLimit bounds the search for a name in the layers, so that a DNS client
// has its answer before it asks again.
const queryLimit = 3 * time.Second

// newNames makes the name service of a configuration; the gateway's routing
// knows it from now on.
func (g *Gateway) newNames(f *config.File) *nameService {
	cfg := *f.Names
	pool, err := names.NewPool(cfg.V4, cfg.V6, cfg.Max)
	if err != nil {
		panic(err) // gateway/config has tried it
	}
	known := func(ctx context.Context, service string) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, queryLimit)
		defer cancel()
		err := g.stack.Query(ctx, service)
		if errors.Is(err, layer.ErrNoName) {
			return false, nil
		}
		return err == nil, err
	}
	if !cfg.Check {
		known = nil
	}
	n := &nameService{
		pool: pool, cfg: cfg, undo: map[string]func(){},
		Server: names.New(cfg.Config, pool, known, nil, g.log),
		log:    g.log.With("component", "o7gw/names"),
	}
	g.names = n
	g.routing.set(f, n)
	return n
}

// Config returns a copy of the configuration in use.
func (n *nameService) Config() config.Names {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cfg
}

// Update applies to new queries what can change at run time.
func (n *nameService) Update(cfg config.Names) []string {
	keys := n.Server.Update(cfg.Config)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cfg = config.Names{Config: n.Server.Config(), Resolved: n.cfg.Resolved}
	if cfg.Resolved != n.cfg.Resolved {
		keys = append(keys, "resolved")
	}
	return keys
}

// Ranges returns the ranges of the addresses that stand for names.
func (n *nameService) Ranges() (out []netip.Prefix) {
	cfg := n.Config()
	for _, p := range []netip.Prefix{cfg.V4, cfg.V6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// Interface returns the addresses in the ranges for the network interface.
func (n *nameService) Interface() []netip.Prefix { return single(n.pool.Interface()) }

// single returns the prefixes of two addresses alone.
func single(v4, v6 netip.Addr) (out []netip.Prefix) {
	for _, a := range []netip.Addr{v4, v6} {
		if a.IsValid() {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// Resolvers returns the addresses in the ranges at which DNS is served.
func (n *nameService) Resolvers() (out []netip.Addr) {
	for _, p := range single(n.pool.Resolver()) {
		out = append(out, p.Addr())
	}
	return out
}

func (n *nameService) Contains(a netip.Addr) bool { return n.pool.Contains(a) }

func (n *nameService) Lookup(a netip.Addr) (string, bool) { return n.pool.Lookup(a) }

func (n *nameService) Hold(service string) bool { return n.pool.Hold(service) }

func (n *nameService) Release(service string) { n.pool.Release(service) }

// SplitDNS tells systemd-resolved, if it runs, to ask the resolvers for the
// zone; it forgets that with the interface. Otherwise the log says what to do.
func (n *nameService) SplitDNS(ctx context.Context, device string) error {
	cfg := n.Config()
	if !cfg.Resolved {
		return nil
	}
	var servers []netip.AddrPort
	for _, a := range n.Resolvers() {
		servers = append(servers, netip.AddrPortFrom(a, 53))
	}
	link, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", device, err)
	}
	undo, err := resolved.Set(ctx, link.Index, servers, append([]string{cfg.Zone}, n.pool.ReverseZones()...))
	if err != nil {
		n.log.Info("the machine does not ask for names by itself", "reason", err, "hint", resolved.Hint(servers, []string{cfg.Zone}))
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.undo[device] = undo
	return nil
}

// Close ends the server.
func (n *nameService) Close() error {
	n.mu.Lock()
	for _, undo := range n.undo {
		undo()
	}
	clear(n.undo)
	n.mu.Unlock()
	return n.Server.Close()
}
