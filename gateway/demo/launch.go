// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// launcher starts all processes of the demo from one thread that lives as long
// as the demo: the kernel kills a child when the thread that started it ends.
type launcher struct {
	dir  string
	o    Options
	jobs chan func()
	done chan struct{}
	died chan error

	hosts []*host
	wg    sync.WaitGroup
}

// host is a process in a namespace of its own.
type host struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser // closing it ends the host
	stdout io.ReadCloser
	ended  chan struct{}
	quit   *sync.Once
}

func newLauncher(dir string, o Options) *launcher {
	l := &launcher{dir: dir, o: o, jobs: make(chan func()), done: make(chan struct{}), died: make(chan error, 4)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(l.done)
		for f := range l.jobs {
			f()
		}
	}()
	return l
}

// do runs f on the launcher's thread.
func (l *launcher) do(f func() error) error {
	ch := make(chan error)
	l.jobs <- func() { ch <- f() }
	return <-ch
}

// close ends all hosts and waits for them.
func (l *launcher) close() {
	for _, h := range l.hosts {
		h.stop()
	}
	l.wg.Wait()
	close(l.jobs)
	<-l.done
}

func (h *host) pid() int { return h.cmd.Process.Pid }

func (h *host) stop() { h.quit.Do(func() { h.stdin.Close() }) }

// self is this program, started again in the given role.
func (l *launcher) self(role string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C is for the parent, which ends the rest in order
	}
	return cmd
}

// host starts a host, which then waits for begin.
func (l *launcher) host(name, outer, conf string) (*host, error) {
	dir := filepath.Join(l.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	path := filepath.Join(dir, "o7gw.toml")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	h := &host{name: name, cmd: l.self("host", name, outer, path), ended: make(chan struct{}), quit: new(sync.Once)}
	h.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	var err error
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if h.stdout, err = h.cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := l.do(h.cmd.Start); err != nil {
		return nil, fmt.Errorf("demo: start host %s: %w (is this a container without CAP_SYS_ADMIN?)", name, err)
	}
	l.hosts = append(l.hosts, h)
	l.wg.Go(func() {
		state, err := h.cmd.Process.Wait()
		close(h.ended)
		h.stdout.Close()
		if err == nil && !state.Success() {
			l.died <- fmt.Errorf("demo: host %s ended: %s", name, state)
		}
	})
	return h, nil
}

// cable joins the two hosts; both ends are called eth0.
func (l *launcher) cable(a, b *host) error {
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: "eth0", Namespace: netlink.NsPid(a.pid())},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsPid(b.pid()),
	})
	if err != nil {
		return fmt.Errorf("demo: join the hosts: %w", err)
	}
	return nil
}

// begin lets the host start its gateway, and waits until it did.
func (h *host) begin(ctx context.Context) error {
	if _, err := io.WriteString(h.stdin, "begin\n"); err != nil {
		return fmt.Errorf("demo: host %s: %w", h.name, err)
	}
	return awaitReady(ctx, h.stdout, h.name)
}

// visit runs the visitor on the host.
func (l *launcher) visit(ctx context.Context, h *host) error {
	cmd := l.self("visitor")
	cmd.Stdout = l.o.Out
	err := l.do(func() error {
		here, err := netns.Get()
		if err != nil {
			return err
		}
		defer here.Close()
		there, err := netns.GetFromPid(h.pid())
		if err != nil {
			return err
		}
		defer there.Close()
		if err := netns.Set(there); err != nil {
			return err
		}
		return errors.Join(cmd.Start(), netns.Set(here))
	})
	if err != nil {
		return fmt.Errorf("demo: enter host %s: %w", h.name, err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("demo: a step on host %s failed: %w", h.name, err)
	}
	return nil
}
