// SPDX-License-Identifier: BSD-3-Clause

// Package gateway runs a gateway (DESIGN §6): a node, embedded or a running
// daemon, and the objects of the configuration on top of it, which so far are
// tunnels.
//
// Start with New, Start, Reload and Close; ServeStatus answers "o7gw status",
// Examine is "o7gw doctor".
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	"o7gw/gateway/config"
	"o7gw/gateway/tunnel"
	"o7gw/o7s/node"
)

// Gateway is a running gateway.
type Gateway struct {
	log     *slog.Logger
	net     tunnel.Network
	node    *node.Node // nil with a daemon
	daemon  *daemon    // nil with an embedded node
	started time.Time

	mu      sync.Mutex
	file    *config.File
	tunnels map[string]*tunnel.Tunnel
	closed  bool
}

// New returns a gateway for Start.
func New(file *config.File, log *slog.Logger) *Gateway {
	return &Gateway{
		file: file, tunnels: map[string]*tunnel.Tunnel{},
		log: log.With("component", "o7gw"),
	}
}

// Start brings the node up and starts all tunnels. After an error nothing is
// left running.
func (g *Gateway) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	g.started = time.Now()
	if err := g.startStack(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cfg := range g.file.Tunnels {
		if err := g.startTunnelLocked(ctx, cfg); err != nil {
			g.mu.Unlock()
			defer g.mu.Lock()
			return err
		}
	}
	return nil
}

// startStack connects to the daemon or embeds a node.
func (g *Gateway) startStack(ctx context.Context) error {
	if g.file.IRMd {
		d := &daemon{runDir: g.file.RunDir}
		if _, err := d.connect(ctx); err != nil {
			return fmt.Errorf("connect to irmd: %w (is it running? irmd = false embeds a node)", err)
		}
		g.daemon, g.net = d, d
		return nil
	}
	n, err := node.New(ctx, node.Config{Log: g.log, RunDir: g.file.RunDir, Security: g.file.Security})
	if err != nil {
		return fmt.Errorf("start the embedded node: %w", err)
	}
	g.node, g.net = n, network{stack: n.Stack()}
	return g.file.Node.Apply(ctx, n.IRM(), g.log)
}

func (g *Gateway) startTunnelLocked(ctx context.Context, cfg tunnel.Config) error {
	t := tunnel.New(cfg, g.net, g.log)
	if err := t.Start(ctx); err != nil {
		return err
	}
	g.tunnels[cfg.Name] = t
	return nil
}

// Change is what a reload did to one object.
type Change struct {
	Object  string // "tunnel NAME", or a key
	Action  string // "started", "stopped", "updated", "unchanged", "needs a restart", "failed"
	Details string
}

// Reload applies a new configuration object by object: tunnels are started,
// stopped and updated; what cannot change at run time keeps its value, and is
// reported.
func (g *Gateway) Reload(ctx context.Context, file *config.File) []Change {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	var changes []Change
	add := func(object, action, details string) {
		changes = append(changes, Change{object, action, details})
	}
	old := g.file
	if file.IRMd != old.IRMd {
		add("irmd", "needs a restart", "")
	}
	if file.RunDir != old.RunDir {
		add("run_dir", "needs a restart", "")
	}
	if !reflect.DeepEqual(withoutName(file), withoutName(old)) {
		add("node", "needs a restart", "the tables of names and IPCPs changed")
	}
	for name, t := range g.tunnels {
		if _, ok := file.Find(name); ok {
			continue
		}
		delete(g.tunnels, name)
		if err := t.Close(); err != nil {
			add("tunnel "+name, "failed", err.Error())
			continue
		}
		add("tunnel "+name, "stopped", "")
	}
	for _, cfg := range file.Tunnels {
		t, ok := g.tunnels[cfg.Name]
		if !ok {
			if err := g.startTunnelLocked(ctx, cfg); err != nil {
				add("tunnel "+cfg.Name, "failed", err.Error())
				continue
			}
			add("tunnel "+cfg.Name, "started", "")
			continue
		}
		now := t.Config()
		keys := now.NeedsRestart(&cfg)
		switch {
		case len(keys) > 0:
			add("tunnel "+cfg.Name, "needs a restart", "for "+strings.Join(keys, ", ")+"; the other keys are applied")
			t.Update(cfg)
		case reflect.DeepEqual(now, cfg):
			add("tunnel "+cfg.Name, "unchanged", "")
		default:
			t.Update(cfg)
			add("tunnel "+cfg.Name, "updated", "")
		}
	}
	file.IRMd, file.RunDir, file.Node = old.IRMd, old.RunDir, old.Node
	g.file = file
	return changes
}

// withoutName returns the node's part of the file for a comparison of content:
// it does not matter what the file is called, or on which line a table stands.
func withoutName(f *config.File) any {
	if f.Node == nil {
		return nil
	}
	type ipcp struct{ all string }
	var out []ipcp
	for _, i := range f.Node.IPCPs {
		out = append(out, ipcp{fmt.Sprint(i.Type, i.Name, i.Enroll, i.Config, i.Autobind, i.Register, i.Connect)})
	}
	return []any{out, f.Node.Names}
}

// Close ends everything and returns when nothing is left.
func (g *Gateway) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	var errs []error
	for name, t := range g.tunnels {
		errs = append(errs, t.Close())
		delete(g.tunnels, name)
	}
	if g.daemon != nil {
		errs = append(errs, g.daemon.Close())
	}
	if g.node != nil {
		errs = append(errs, g.node.Stack().Close(), g.node.Close())
	}
	return errors.Join(errs...)
}
