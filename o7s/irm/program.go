// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"o7gw/o7s/layer"
)

// ProgramBinding binds a program to a name: processes of the program that
// attach from then on may accept flows for the name.
type ProgramBinding struct {
	Path string   // absolute path
	Args []string // arguments behind the path, for auto-start
	Auto bool     // start the program when a flow finds no acceptor
	Name string
	// Creds are those of the binder: the program is started as this user.
	Creds Creds
}

// program is what tells programs apart (spec 40 §2.2).
func (b *ProgramBinding) program() string { return filepath.Base(b.Path) }

// BindProgram binds a program to a name, which is created if it is missing.
// b.Creds must be an administrator's. Binding the pair twice is an error.
func (i *IRM) BindProgram(b ProgramBinding) error {
	fail := func(err error) error { return fmt.Errorf("bind program %q to name %q: %w", b.Path, b.Name, err) }
	if err := b.Creds.RequireAdmin("bind a program"); err != nil {
		return fail(err)
	}
	if !filepath.IsAbs(b.Path) || len(b.Path) > longest {
		return fail(errText("program needs an absolute path of at most 255 bytes", layer.ErrInvalid))
	}
	b.Path, b.Args = filepath.Clean(b.Path), slices.Clone(b.Args)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := checkName(b.Name); err != nil {
		return fail(err)
	}
	n := i.names[b.Name]
	if n == nil {
		n = i.addNameLocked(b.Name, Spillover, 0)
	}
	if slices.ContainsFunc(n.programs, func(o ProgramBinding) bool { return o.program() == b.program() }) {
		return fail(errText("it is bound already", ErrExists))
	}
	n.claimLocked(b.Creds.UID)
	n.programs = append([]ProgramBinding{b}, n.programs...)
	i.infof("Bound program %v to name %v.", text(b.Path), text(b.Name))
	if b.Auto && i.spawn == nil {
		i.warnf("This node starts no programs: %v has to be started by hand.", text(b.Path))
	}
	return nil
}

// UnbindProgram takes it back, with the auto-start; the program may be given
// as a path or as its last component. An empty name means all names.
// Processes that run keep their names.
func (i *IRM) UnbindProgram(program, s string) error {
	base := filepath.Base(program)
	i.mu.Lock()
	var from []*name
	for _, n := range i.names {
		if s != "" && n.name != s {
			continue
		}
		had := len(n.programs)
		n.programs = slices.DeleteFunc(slices.Clone(n.programs), func(b ProgramBinding) bool {
			return b.program() == base && (b.Path == program || base == program)
		})
		if len(n.programs) < had {
			from = append(from, n)
		}
	}
	i.mu.Unlock()
	switch {
	case from == nil && s == "":
		return fmt.Errorf("unbind program %q: it is bound to no name: %w", program, ErrNotFound)
	case from == nil:
		return fmt.Errorf("unbind program %q from name %q: it is not bound: %w", program, s, ErrNotFound)
	}
	for _, n := range from {
		i.infof("Unbound program %v from name %v.", text(program), text(n.name))
		i.tidy(n)
	}
	return nil
}

// ListPrograms returns the bound programs, sorted.
func (i *IRM) ListPrograms() []ProgramInfo {
	i.mu.Lock()
	defer i.mu.Unlock()
	byName := make(map[string][]ProgramBinding)
	for _, n := range i.names {
		for _, b := range n.programs {
			byName[b.program()] = append(byName[b.program()], b)
		}
	}
	list := make([]ProgramInfo, 0, len(byName))
	for p, bs := range byName {
		slices.SortFunc(bs, func(a, b ProgramBinding) int { return cmp.Compare(a.Name, b.Name) })
		list = append(list, ProgramInfo{Program: p, Bindings: bs})
	}
	slices.SortFunc(list, func(a, b ProgramInfo) int { return cmp.Compare(a.Program, b.Program) })
	return list
}
