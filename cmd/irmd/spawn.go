// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
)

// spawner starts programs for names (spec 40 §2.12): as the user who bound
// them, with that user's groups, in a process group of their own, with default
// signals and a small environment, in the root directory. Their output goes
// where the daemon's goes.
type spawner struct{ runDir string }

// searchPath is PATH of started programs.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// spawn implements irm.SpawnFunc.
func (s spawner) spawn(b irm.ProgramBinding) (*irm.Child, error) {
	cred, err := credential(b.Creds)
	if err != nil {
		return nil, err
	}
	home, name := account(b.Creds.UID)
	cmd := exec.Command(b.Path, b.Args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + searchPath, "HOME=" + home, "USER=" + name, "O7S_RUN_DIR=" + s.runDir}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: cred}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go c.wait()
	return &irm.Child{PID: cmd.Process.Pid, Done: c.done, Stop: c.stop}, nil
}

// credential returns what the program runs as, nil for what the daemon runs
// as. It never gives more than the binder has.
func credential(c irm.Creds) (*syscall.Credential, error) {
	switch euid := uint32(os.Geteuid()); {
	case euid == 0:
		return &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: groups(c)}, nil
	case euid == c.UID:
		return nil, nil
	default:
		return nil, fmt.Errorf("a daemon of user %d cannot run programs as user %d: %w", euid, c.UID, layer.ErrPermission)
	}
}

// groups returns the groups of the user as the user database has them.
func groups(c irm.Creds) []uint32 {
	list := []uint32{c.GID}
	u, err := user.LookupId(strconv.FormatUint(uint64(c.UID), 10))
	if err != nil {
		return list
	}
	ids, err := u.GroupIds()
	if err != nil {
		return list
	}
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil && uint32(gid) != c.GID {
			list = append(list, uint32(gid))
		}
	}
	return list
}

// account returns home directory and name of a user.
func account(uid uint32) (home, name string) {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil {
		return "/", id
	}
	return u.HomeDir, u.Username
}

// child is a started program.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex // guards ended
	ended bool       // the process group may be somebody else's by now
}

// wait reaps the program as soon as it ends.
func (c *child) wait() {
	defer close(c.done)
	// First without reaping, so that stop never signals a number that belongs
	// to another process already.
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	_ = c.cmd.Wait() // how it ended is its own affair
}

// stop signals the program and what it started.
func (c *child) stop(kill bool) {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = syscall.Kill(-c.cmd.Process.Pid, sig) // it may have ended just now
	}
}
