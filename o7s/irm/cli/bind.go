// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"o7gw/o7s/irm"
)

func (c *call) bindProgram(args []string) error {
	kws := append(values("program", "name"),
		keyword{name: "auto", flag: true, exact: true}, keyword{name: "--", rest: true, exact: true})
	w, err := c.bindWords(args, kws)
	if err != nil {
		return err
	}
	path, err := findProgram(w.last("program"))
	if err != nil {
		return err
	}
	client, err := c.dial()
	if err != nil {
		return err
	}
	b := irm.ProgramBinding{Path: path, Name: w.last("name"), Auto: w.has("auto"), Args: w["--"]}
	if !b.Auto && len(b.Args) > 0 {
		c.warn("irm: arguments of %s mean nothing without auto: ignored.", path)
		b.Args = nil
	}
	if err := client.BindProgram(c.ctx, b); err != nil {
		return refused(err)
	}
	return nil
}

// bindWords reads the words of a binding: the object and the name are needed.
func (c *call) bindWords(args []string, kws []keyword) (words, error) {
	w, err := c.scan(args, kws)
	if err != nil {
		return nil, err
	}
	switch {
	case w.last(kws[0].name) == "" || w.last("name") == "":
		return nil, c.misuse("The %s and the keyword name are needed.", kws[0].name)
	case len(w.last("name")) > maxName:
		return nil, failf("Name too long.")
	}
	return w, nil
}

// findProgram returns the absolute path of a program: a path from the current
// directory, or a word that is looked for in PATH.
func findProgram(word string) (string, error) {
	path, err := filepath.Abs(word)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil && !strings.Contains(word, "/") {
		if path, err = exec.LookPath(word); err == nil && !filepath.IsAbs(path) {
			err = exec.ErrDot
		}
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
	}
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	switch {
	case err != nil && errors.Is(err, fs.ErrPermission):
		return "", failf("Cannot execute %s, please check permissions.", word)
	case err != nil:
		return "", failf("%s does not exist.", word)
	case !info.Mode().IsRegular() || info.Mode()&0o100 == 0:
		return "", failf("Cannot execute %s, please check permissions.", word)
	}
	return path, nil
}

func (c *call) bindProcess(args []string) error {
	w, err := c.bindWords(args, values("process", "name"))
	if err != nil {
		return err
	}
	pid, err := processID(w.last("process"))
	if err != nil {
		return err
	}
	client, err := c.dial()
	if err != nil {
		return err
	}
	if err := client.BindProcess(c.ctx, pid, w.last("name")); err != nil {
		return refused(err)
	}
	return nil
}

// processID reads the pid of a process that the caller may signal.
func processID(word string) (int, error) {
	pid, err := strconv.Atoi(word)
	if err != nil || pid <= 0 || syscall.Kill(pid, 0) != nil {
		return 0, failf(`"%s" is not a valid process id.`, word)
	}
	return pid, nil
}

func (c *call) bindIPCP(args []string) error {
	w, err := c.bindWords(args, values("ipcp", "name"))
	if err != nil {
		return err
	}
	p, err := c.ipcpNamed(w.last("ipcp"))
	if err != nil {
		return err
	}
	if err := c.client.BindIPCP(c.ctx, p.ID, w.last("name")); err != nil {
		return refusedFor(p.Name, err)
	}
	return nil
}
