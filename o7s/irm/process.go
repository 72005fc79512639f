// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"o7gw/o7s/layer"
)

// ProcInfo says which process attaches.
type ProcInfo struct {
	PID int
	// Program is the absolute path of the executable as the kernel knows it,
	// or else a bare name which the process claims. Names that are bound to a
	// program go to its processes, if they are an administrator's, or of the
	// user who bound it or to whom the name belongs: another user can make his
	// process of the same program do what he likes.
	Program string
	Creds   Creds
	// External: the process is not this one. Its direct flows to other such
	// processes are rings.
	External bool
}

// Process is an application process as the IRM knows it (spec 40 §2.1).
type Process struct {
	irm    *IRM
	info   ProcInfo
	member *member         // the IPC process that it is; nil: an application
	ctx    context.Context // ends when Close begins
	stop   context.CancelFunc

	// Guarded by IRM.mu.
	closed  bool
	names   map[*name]*binding
	waiters map[*waiter]struct{}
	flows   map[*Flow]struct{}
	serves  bool // has called Accept
	// failed are names to which an IPC process got no flow the last time. It tries
	// for ever, but tells of it once.
	failed map[string]struct{}
}

// binding is a reason why a process may accept flows for a name; it exists
// while one of the reasons holds.
type binding struct {
	explicit  bool // bind process
	inherited bool // bind program
	listeners int  // Listen
}

func (b *binding) unusedLocked() bool { return !b.explicit && !b.inherited && b.listeners == 0 }

// Attach makes a process known. It inherits the names that are bound to its
// program.
func (i *IRM) Attach(info ProcInfo) (*Process, error) { return i.attach(info, nil) }

// attach is Attach for an application, or for an IPC process that uses flows
// itself.
func (i *IRM) attach(info ProcInfo, m *member) (*Process, error) {
	p := &Process{
		irm:     i,
		info:    info,
		member:  m,
		names:   make(map[*name]*binding),
		waiters: make(map[*waiter]struct{}),
		flows:   make(map[*Flow]struct{}),
	}
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return nil, fmt.Errorf("attach process %d: %w", info.PID, layer.ErrIRMd)
	}
	p.ctx, p.stop = context.WithCancel(i.ctx)
	i.procs[p] = struct{}{}
	for _, n := range i.names {
		if slices.ContainsFunc(n.programs, func(b ProgramBinding) bool { return p.runs(b, n) }) {
			p.bindingLocked(n).inherited = true
		}
	}
	i.mu.Unlock()
	if m == nil {
		i.infoBy(p.cause(), "Process added: %d (%v).", info.PID, text(filepath.Base(info.Program)))
	}
	return p, nil
}

// pid is what log lines call the process: an IPC process by its id.
func (p *Process) pid() int {
	if p.member != nil {
		return p.member.id
	}
	return p.info.PID
}

// runs reports whether the process inherits the name from the binding.
func (p *Process) runs(b ProgramBinding, n *name) bool {
	c := p.info.Creds
	if !c.Admin && c.UID != n.owner && c.UID != b.Creds.UID {
		return false
	}
	return p.info.Program == b.Path || p.info.Program == b.program()
}

// Close detaches the process, as when it has died: its names, its flows and
// its calls under way end. Idempotent.
func (p *Process) Close() {
	i := p.irm
	i.mu.Lock()
	if p.closed {
		i.mu.Unlock()
		return
	}
	p.closed = true
	delete(i.procs, p)
	var bound []*name
	for n, b := range p.names {
		bound = append(bound, n)
		n.listeners -= b.listeners
		p.unbindLocked(n)
	}
	flows := make([]*Flow, 0, len(p.flows))
	for f := range p.flows {
		flows = append(flows, f)
	}
	i.mu.Unlock()
	p.stop() // ends waiting calls
	for _, f := range flows {
		f.Dealloc()
	}
	for _, n := range bound {
		i.tidy(n)
	}
	if p.member == nil {
		i.infoBy(p.cause(), "Process removed: %d.", p.info.PID)
	}
}

// ListProcesses returns the attached processes by pid, without IPC processes.
func (i *IRM) ListProcesses() []ProcessInfo {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]ProcessInfo, 0, len(i.procs))
	for p := range i.procs {
		if p.member != nil {
			continue
		}
		list = append(list, p.infoLocked())
	}
	slices.SortFunc(list, func(a, b ProcessInfo) int { return cmp.Compare(a.PID, b.PID) })
	return list
}

func (p *Process) infoLocked() ProcessInfo {
	info := ProcessInfo{
		PID: p.info.PID, Program: p.info.Program, UID: p.info.Creds.UID,
		Accepts: len(p.waiters), Flows: len(p.flows),
	}
	for n := range p.names {
		info.Names = append(info.Names, n.name)
	}
	slices.Sort(info.Names)
	return info
}
