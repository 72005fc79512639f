// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"fmt"

	"o7gw/o7s/layer"
)

// Limits of one process, so that it harms only itself.
const (
	maxNames   = 1024
	maxWaiters = 4096
)

// bindLocked returns the binding of the process to a name that its user may
// bind it to: one of its own, one that an administrator bound to it, or a new one,
// which becomes its own.
func (p *Process) bindLocked(s string) (*name, *binding, error) {
	if p.closed {
		return nil, nil, ErrDetached
	}
	if err := checkName(s); err != nil {
		return nil, nil, err
	}
	n := p.irm.names[s]
	switch {
	case n == nil:
		if len(p.names) >= maxNames {
			return nil, nil, errText("process is bound to too many names", ErrBusy)
		}
		n = p.irm.addNameLocked(s, Spillover, p.info.Creds.UID)
		n.implicit, n.taken = true, !p.info.Creds.Admin
	case p.info.Creds.Admin, n.owner == p.info.Creds.UID, p.names[n] != nil:
	default:
		return nil, nil, errText(fmt.Sprintf("name belongs to user %d", n.owner), layer.ErrPermission)
	}
	return n, p.bindingLocked(n), nil
}

// bindingLocked returns the binding, which is made if it is missing; waiting accepts
// become active for the name.
func (p *Process) bindingLocked(n *name) *binding {
	if b := p.names[n]; b != nil {
		return b
	}
	b := new(binding)
	p.names[n], n.procs[p] = b, b
	for w := range p.waiters {
		if w.only == nil {
			w.enlistLocked(n)
		}
	}
	n.dispatchLocked()
	return b
}

// unbindLocked ends the binding. Accepts for just this name end, others go
// on without it. The caller takes care of the listener count.
func (p *Process) unbindLocked(n *name) {
	delete(p.names, n)
	delete(n.procs, p)
	for w := range p.waiters {
		if w.only == n {
			w.endLocked(errText("process was unbound from the name", layer.ErrNoName))
		} else {
			w.delistLocked(n)
		}
	}
}

// Bind binds the process to a name as "bind process" does, within the rights
// of its user. Being bound already is an error.
func (p *Process) Bind(s string) error {
	i := p.irm
	i.mu.Lock()
	defer i.mu.Unlock()
	n, b, err := p.bindLocked(s)
	if err == nil && (b.explicit || b.inherited) {
		err = errText("it is bound already", ErrExists)
	}
	if err != nil {
		return fmt.Errorf("bind %v to name %q: %w", p, s, err)
	}
	b.explicit = true
	i.infoBy(p.cause(), "Bound process %d to name %v.", p.pid(), text(n.name))
	return nil
}

// Unbind takes back Bind, BindProcess and what was inherited; what Listen did stays.
func (p *Process) Unbind(s string) error {
	i := p.irm
	i.mu.Lock()
	n := i.names[s]
	b := p.names[n]
	if b == nil || !b.explicit && !b.inherited {
		i.mu.Unlock()
		return fmt.Errorf("unbind %v from name %q: it is not bound: %w", p, s, ErrNotFound)
	}
	b.explicit, b.inherited = false, false
	if b.unusedLocked() {
		p.unbindLocked(n)
	}
	i.mu.Unlock()
	i.infoBy(p.cause(), "Unbound process %d from name %v.", p.pid(), text(s))
	i.tidy(n)
	return nil
}

// String names the process in errors.
func (p *Process) String() string {
	if p.member != nil {
		return fmt.Sprintf("IPCP %d", p.member.id)
	}
	return fmt.Sprintf("process %d", p.info.PID)
}

// BindIPCP binds an IPC process that stands on layers to a name, which is
// created if it is missing: it then accepts the flows to the name. Being bound
// already is an error.
func (i *IRM) BindIPCP(id int, s string) error {
	p, err := i.ipcpProcess(id)
	if err != nil {
		return fmt.Errorf("bind IPCP %d to name %q: %w", id, s, err)
	}
	i.mu.Lock()
	if _, err := i.needNameLocked(s); err != nil {
		i.mu.Unlock()
		return fmt.Errorf("bind IPCP %d to name %q: %w", id, s, err)
	}
	i.mu.Unlock()
	return p.Bind(s)
}

// UnbindIPCP takes it back.
func (i *IRM) UnbindIPCP(id int, s string) error {
	p, err := i.ipcpProcess(id)
	if err != nil {
		return fmt.Errorf("unbind IPCP %d from name %q: %w", id, s, err)
	}
	return p.Unbind(s)
}

// ipcpProcess returns the process that an IPC process is.
func (i *IRM) ipcpProcess(id int) (*Process, error) {
	m, err := i.member(id)
	switch {
	case err != nil:
		return nil, err
	case m.proc == nil:
		return nil, errText(fmt.Sprintf("type %v accepts no flows", m.typ), layer.ErrNotSupported)
	}
	return m.proc, nil
}

// BindProcess binds the process of that pid to a name, which is created if it
// is missing. A process that is attached more than once is bound in all its
// places.
func (i *IRM) BindProcess(pid int, s string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	fail := func(err error) error { return fmt.Errorf("bind process %d to name %q: %w", pid, s, err) }
	ps, err := i.processesLocked(pid)
	if err != nil {
		return fail(err)
	}
	n, err := i.needNameLocked(s)
	if err != nil {
		return fail(err)
	}
	fresh := false
	for _, p := range ps {
		if b := p.bindingLocked(n); !b.explicit && !b.inherited {
			b.explicit, fresh = true, true
		}
	}
	if !fresh {
		return fail(errText("it is bound already", ErrExists))
	}
	i.infof("Bound process %d to name %v.", pid, text(s))
	return nil
}

// UnbindProcess takes it back.
func (i *IRM) UnbindProcess(pid int, s string) error {
	i.mu.Lock()
	ps, err := i.processesLocked(pid)
	i.mu.Unlock()
	if err != nil {
		return fmt.Errorf("unbind process %d from name %q: %w", pid, s, err)
	}
	done := false
	for _, p := range ps {
		if e := p.Unbind(s); e == nil {
			done = true
		} else {
			err = e
		}
	}
	if done {
		return nil
	}
	return err
}

func (i *IRM) processesLocked(pid int) ([]*Process, error) {
	var ps []*Process
	for p := range i.procs {
		if p.info.PID == pid && p.member == nil {
			ps = append(ps, p)
		}
	}
	if ps == nil {
		return nil, errText("no such process is attached", ErrNotFound)
	}
	return ps, nil
}
