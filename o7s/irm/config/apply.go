// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/qos"
)

// Target is what Apply needs of an IRM.
type Target interface {
	CreateIPCP(t ipcp.Type, name string) (int, error)
	DestroyIPCP(id int) error
	Bootstrap(ctx context.Context, id int, cfg ipcp.Config) error
	Enroll(ctx context.Context, id int, dst string) (ipcp.Info, error)
	Connect(ctx context.Context, id int, dst, component string, qs qos.Spec) error
	// Go runs f in a goroutine until the IRM closes.
	Go(f func(ctx context.Context)) bool
	CreateName(irm.NameInfo) error
	DestroyName(string) error
	ListNames() []irm.NameInfo
	BindProgram(irm.ProgramBinding) error
	UnbindProgram(program, name string) error
	BindIPCP(id int, name string) error
	UnbindIPCP(id int, name string) error
	Register(ctx context.Context, name string, id int) error
	Unregister(ctx context.Context, name string, id int) error
}

var _ Target = (*irm.IRM)(nil)

// undoTimeout bounds one step back.
const undoTimeout = 5 * time.Second

// Apply makes the IRM what the file says: names with their programs first, then
// each IPC process in the order of the file. The first failure ends it: what
// was done is undone, last step first, and the error names the table. It logs
// the outcome, and each step at debug level, as the IRM tells of them too.
// Programs will run as the user of this process.
//
// That the other side of an enrolment or a connection is not there, or not yet, is no
// failure: the IRM goes on trying in the background, with all that comes behind it
// in the table, until it closes.
func (f *File) Apply(ctx context.Context, target Target, log *slog.Logger) error {
	a := &application{target: target, log: log.With("component", "irmd/configuration"), known: map[string]bool{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	for _, n := range target.ListNames() {
		a.known[n.Name] = true
	}
	err := a.all(ctx, f)
	if err == nil {
		rest := ""
		if a.waiting > 0 {
			rest = fmt.Sprintf("; %d of them wait for other members", a.waiting)
		}
		a.log.Info(fmt.Sprintf("Applied %s: %d names, %d IPCPs%s.", f.Filename, len(f.Names), len(f.IPCPs), rest))
		return nil
	}
	a.cancel()
	a.running.Wait()
	a.log.Warn(fmt.Sprintf("Undoing %d steps of %s.", len(a.done), f.Filename))
	if left := a.undo(ctx); left != nil {
		err = errors.Join(err, fmt.Errorf("undo configuration: %w", left))
	}
	return err
}

// application is one run of Apply.
type application struct {
	target Target
	log    *slog.Logger
	// ctx is that of what goes on in the background: it ends when Apply fails, and
	// never otherwise.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	waiting int // IPCPs that go on in the background

	mu    sync.Mutex
	known map[string]bool // names that exist; guarded by mu, as is done
	done  []step          // oldest first
}

// step is something that was done and how to take it back.
type step struct {
	what string
	back func(ctx context.Context) error
}

func (a *application) did(what string, back func(ctx context.Context) error) {
	a.log.Debug(what + ".")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, step{what, back})
}

func (a *application) undo(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for i := len(a.done) - 1; i >= 0; i-- {
		s := a.done[i]
		if s.back == nil {
			continue // ends with the step before it
		}
		stepCtx, cancel := context.WithTimeout(ctx, undoTimeout)
		err := s.back(stepCtx)
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.what, err))
			continue
		}
		a.log.Debug("Undone: " + s.what + ".")
	}
	return errors.Join(errs...)
}

func (a *application) all(ctx context.Context, f *File) error {
	for _, n := range f.Names {
		if err := a.name(n); err != nil {
			return fmt.Errorf("%s: name %s: %w", f.Filename, n.Name, err)
		}
	}
	for _, p := range f.IPCPs {
		if err := a.ipcp(ctx, p); err != nil {
			return fmt.Errorf("%s:%d: %s.%s: %w", f.Filename, p.line, p.Type, p.Name, err)
		}
	}
	return nil
}

func (a *application) name(n irm.NameInfo) error {
	if a.isKnown(n.Name) {
		// It may be what a process made for itself, which is less than the file
		// says.
		if err := a.target.CreateName(n); err != nil {
			return err
		}
	} else if err := a.createName(n); err != nil {
		return err
	}
	creds := irm.Creds{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), PID: os.Getpid(), Admin: true}
	for _, b := range n.Programs {
		b.Creds = creds
		if err := a.target.BindProgram(b); err != nil {
			return err
		}
		a.did(fmt.Sprintf("Bound program %s to name %s", b.Path, b.Name), func(context.Context) error {
			return a.target.UnbindProgram(b.Path, b.Name)
		})
	}
	return nil
}

func (a *application) isKnown(s string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[s]
}

// createName makes a name unless it exists already, which then is left as
// it is.
func (a *application) createName(n irm.NameInfo) error {
	a.mu.Lock()
	if a.known[n.Name] {
		a.mu.Unlock()
		return nil
	}
	err := a.target.CreateName(n)
	a.known[n.Name] = err == nil
	a.mu.Unlock()
	if err != nil {
		return err
	}
	a.did("Created name "+n.Name, func(context.Context) error { return a.target.DestroyName(n.Name) })
	return nil
}

func (a *application) ipcp(ctx context.Context, p IPCP) error {
	id, err := a.target.CreateIPCP(p.Type, p.Name)
	if err != nil {
		return err
	}
	a.did(fmt.Sprintf("Created %s IPCP %s", p.Type, p.Name), func(context.Context) error { return a.target.DestroyIPCP(id) })
	if p.Enroll != "" {
		return a.join(ctx, p, id)
	}
	if p.Config.Layer != "" {
		if err := a.target.Bootstrap(ctx, id, p.Config); err != nil {
			return err
		}
		a.did(fmt.Sprintf("Bootstrapped IPCP %s in layer %s", p.Name, p.Config.Layer), nil)
	}
	return a.publish(ctx, p, id, p.Config.Layer)
}

// publish makes the IPCP and the services of its layer known.
func (a *application) publish(ctx context.Context, p IPCP, id int, layerName string) error {
	if p.Autobind {
		if err := a.autobind(id, p.Name, layerName); err != nil {
			return err
		}
	}
	for _, name := range p.Register {
		if err := a.register(ctx, name, id, p.Name); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) autobind(id int, names ...string) error {
	for _, name := range names {
		if name == "" {
			continue // created only: in no layer
		}
		if err := a.createName(irm.NameInfo{Name: name, Policy: irm.Spillover}); err != nil {
			return err
		}
		if err := a.target.BindIPCP(id, name); err != nil {
			return err
		}
		a.did(fmt.Sprintf("Bound IPCP %d to name %s", id, name), func(context.Context) error {
			return a.target.UnbindIPCP(id, name)
		})
	}
	return nil
}

func (a *application) register(ctx context.Context, name string, id int, ipcpName string) error {
	if err := a.createName(irm.NameInfo{Name: name, Policy: irm.Spillover}); err != nil {
		return err
	}
	if err := a.target.Register(ctx, name, id); err != nil {
		return err
	}
	a.did(fmt.Sprintf("Registered %s with IPCP %s", name, ipcpName), func(ctx context.Context) error {
		return a.target.Unregister(ctx, name, id)
	})
	return nil
}
