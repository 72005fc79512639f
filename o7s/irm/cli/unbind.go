// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"path/filepath"
	"strconv"
	"strings"
)

func (c *call) unbindProgram(args []string) error {
	w, err := c.scan(args, values("program", "name"))
	if err != nil {
		return err
	}
	program := w.last("program")
	if program == "" {
		return c.misuse("A program is needed.")
	}
	if strings.Contains(program, "/") { // a path; else the last component of one
		if program, err = findProgram(program); err != nil {
			program = filepath.Base(w.last("program")) // it may be gone by now
		}
	}
	client, err := c.dial()
	if err != nil {
		return err
	}
	// Without a name it is unbound from all.
	if err := client.UnbindProgram(c.ctx, program, w.last("name")); err != nil {
		return refused(err)
	}
	return nil
}

func (c *call) unbindProcess(args []string) error {
	w, err := c.scan(args, values("process", "name"))
	if err != nil {
		return err
	}
	// A process that has just ended is as good as any: its pid is enough.
	pid, err := strconv.Atoi(w.last("process"))
	switch {
	case w.last("process") == "":
		return c.misuse("A process is needed.")
	case err != nil || pid <= 0:
		return failf(`"%s" is not a valid process id.`, w.last("process"))
	}
	client, err := c.dial()
	if err != nil {
		return err
	}
	names := []string{w.last("name")}
	if !w.has("name") { // from all
		if names, err = c.namesOf(pid); err != nil {
			return err
		}
	}
	for _, n := range names {
		if err := client.UnbindProcess(c.ctx, pid, n); err != nil {
			return refused(err)
		}
	}
	return nil
}

// namesOf returns the names that a process is bound to.
func (c *call) namesOf(pid int) ([]string, error) {
	list, err := c.client.ListProcesses(c.ctx)
	if err != nil {
		return nil, refused(err)
	}
	for _, p := range list {
		if p.PID == pid && len(p.Names) > 0 {
			return p.Names, nil
		}
	}
	return nil, failf("Process %d is bound to no name.", pid)
}

func (c *call) unbindIPCP(args []string) error {
	w, err := c.bindWords(args, values("ipcp", "name"))
	if err != nil {
		return err
	}
	p, err := c.ipcpNamed(w.last("ipcp"))
	if err != nil {
		return err
	}
	if err := c.client.UnbindIPCP(c.ctx, p.ID, w.last("name")); err != nil {
		return refusedFor(p.Name, err)
	}
	return nil
}
