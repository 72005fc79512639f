// SPDX-License-Identifier: BSD-3-Clause

// Package gateway runs a gateway (DESIGN §6): a node, embedded or a running
// daemon, and the objects of the configuration on top of it.
//
// Start with New, Start, Reload, Drain and Close; ServeStatus answers "o7gw
// status", Examine is "o7gw doctor".
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"o7gw/gateway/config"
	"o7gw/gateway/routes"
	"o7gw/o7s"
	"o7gw/o7s/node"
)

// Gateway is a running gateway.
type Gateway struct {
	log     *slog.Logger
	stack   stack
	net     network
	node    *node.Node // nil with a daemon
	daemon  *daemon    // nil with an embedded node
	started time.Time
	routing routing

	// ops is held while objects start and end, mu only for a moment: a status
	// does not wait for them.
	ops      sync.Mutex
	names    *nameService // guarded by ops; may be nil
	draining bool
	closed   bool

	mu      sync.Mutex
	file    *config.File
	objects []*running // in the order in which they were started
}

// New returns a gateway for Start.
func New(file *config.File, log *slog.Logger) *Gateway {
	g := &Gateway{file: file, log: log.With("component", "o7gw")}
	g.routing.set(file, nil)
	return g
}

// Start brings the node up and starts all objects. After an error nothing is
// left running.
func (g *Gateway) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	return g.start(ctx)
}

func (g *Gateway) start(ctx context.Context) error {
	g.ops.Lock()
	defer g.ops.Unlock()
	g.started = time.Now()
	if swept, err := routes.Sweep(g.runDir()); err != nil {
		g.log.Warn("what a killed gateway left could not be removed", "err", err)
	} else if len(swept) > 0 {
		g.log.Info("removed what a killed gateway had left", "what", swept)
	}
	if err := g.startStack(ctx); err != nil {
		return err
	}
	for _, w := range g.wishes(g.file) {
		if err := g.startLocked(ctx, &w); err != nil {
			return err
		}
	}
	return nil
}

// runDir returns the run directory.
func (g *Gateway) runDir() string {
	if g.file.RunDir != "" {
		return g.file.RunDir
	}
	return o7s.DefaultRunDir()
}

// startStack connects to the daemon or embeds a node.
func (g *Gateway) startStack(ctx context.Context) error {
	if g.file.IRMd {
		d := &daemon{runDir: g.file.RunDir}
		if _, err := d.connect(ctx); err != nil {
			return fmt.Errorf("connect to irmd: %w (is it running? irmd = false embeds a node)", err)
		}
		g.daemon, g.stack, g.net = d, d, network{d, true}
		return nil
	}
	n, err := node.New(ctx, node.Config{Log: g.log, RunDir: g.file.RunDir, Security: g.file.Security})
	if err != nil {
		return fmt.Errorf("start the embedded node: %w", err)
	}
	s := embedded{n.Stack()}
	g.node, g.stack, g.net = n, s, network{s, false}
	return g.file.Node.Apply(ctx, n.IRM(), g.log)
}

func (g *Gateway) startLocked(ctx context.Context, w *wish) error {
	r := w.make()
	if err := r.Start(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.objects = append(g.objects, r)
	return nil
}

// list returns the running objects.
func (g *Gateway) list() []*running {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.objects)
}

// find returns a running object, or nil.
func (g *Gateway) find(kind, name string) *running {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.objects, func(r *running) bool { return r.kind == kind && r.name == name })
	if i < 0 {
		return nil
	}
	return g.objects[i]
}

// Grace returns how long the end of the gateway shall wait for sessions.
func (g *Gateway) Grace() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.file.Grace
}

// drainStep is how often Drain looks whether sessions are left.
const drainStep = 100 * time.Millisecond

// Drain takes no new sessions, and returns when those that run have ended, or
// ctx ends. Tunnels and segments go on until Close.
func (g *Gateway) Drain(ctx context.Context) {
	g.ops.Lock()
	g.draining = true
	objects := g.list()
	g.ops.Unlock()
	for _, r := range objects {
		r.Drain()
	}
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for {
		left := 0
		for _, r := range objects {
			left += r.sessions()
		}
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			g.log.Warn("ending with sessions open", "sessions", left)
			return
		case <-tick.C:
		}
	}
}

// Close ends everything and returns when nothing is left.
func (g *Gateway) Close() error {
	g.ops.Lock()
	defer g.ops.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.mu.Lock()
	objects := g.objects
	g.objects = nil
	g.mu.Unlock()
	var errs []error
	for _, r := range slices.Backward(objects) {
		errs = append(errs, r.Close())
	}
	if g.daemon != nil {
		errs = append(errs, g.daemon.Close())
	}
	if g.node != nil {
		errs = append(errs, g.node.Stack().Close(), g.node.Close())
	}
	return errors.Join(errs...)
}
