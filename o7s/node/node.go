// SPDX-License-Identifier: BSD-3-Clause

// Package node is a whole Ouroboros node inside a Go program: an IRM and its
// IPC processes (DESIGN §4). It gives the same o7s.Stack as a daemon does.
//
// Start with New; configure the node with its IRM, use it with its Stack.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/irm/control"
)

// grace is how long Close waits for the parts of the node.
const grace = 10 * time.Second

// Config configures a Node. The zero value is a node of which nobody outside
// this process knows.
type Config struct {
	Log     *slog.Logger // nil: no log
	RunDir  string       // not empty: other processes attach through the control socket in it
	Factory ipcp.Factory // nil: Factory
	// Security is the directory of keys and certificates: see irm.Options.
	Security string
}

// Node is a node in this process.
type Node struct {
	irm   *irm.IRM
	stack *o7s.Stack

	stopServing context.CancelFunc
	listener    *control.Listener // nil without a run directory
	wg          sync.WaitGroup
	serveErr    error // after wg

	closing  sync.Once
	closeErr error // after closing
}

// New starts a node without layers and names.
func New(ctx context.Context, cfg Config) (*Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Factory == nil {
		cfg.Factory = Factory
	}
	n := &Node{irm: irm.New(irm.Options{Factory: cfg.Factory, Log: cfg.Log, Security: cfg.Security})}
	p, err := n.attach()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start node: %w", err), n.irm.Close(ctx))
	}
	n.stack = o7s.NewStack(backend{p})
	if cfg.RunDir != "" {
		if err := n.serve(cfg); err != nil {
			return nil, errors.Join(fmt.Errorf("start node: %w", err), n.Close())
		}
	}
	return n, nil
}

// attach makes this program a process of its own IRM.
func (n *Node) attach() (*irm.Process, error) {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	return n.irm.Attach(irm.ProcInfo{
		PID:     os.Getpid(),
		Program: program,
		Creds:   irm.Creds{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: os.Getpid(), Admin: true},
	})
}

// serve lets other processes attach.
func (n *Node) serve(cfg Config) error {
	l, err := control.Listen(cfg.RunDir)
	if err != nil {
		return err
	}
	n.listener = l
	serving, stop := context.WithCancel(context.Background())
	n.stopServing = stop
	n.wg.Go(func() { n.serveErr = control.Serve(serving, n.irm, l.UnixListener, cfg.Log) })
	return nil
}

// IRM returns the resource manager of the node.
func (n *Node) IRM() *irm.IRM { return n.irm }

// Stack returns the node as applications use it. Closing the node closes it.
func (n *Node) Stack() *o7s.Stack { return n.stack }

// Close ends all flows, so that their peers see it, and all layers.
// Idempotent.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	errs := []error{n.stack.Close()}
	if n.listener != nil {
		n.stopServing()
		n.wg.Wait()
		errs = append(errs, n.serveErr, n.listener.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return errors.Join(append(errs, n.irm.Close(ctx))...)
}
