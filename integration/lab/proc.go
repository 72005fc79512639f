// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles programs of this repository into dir. dir may be relative
// to the working directory; packages are import paths. It leaves C out: such
// programs can drop privileges of all their threads.
func Build(dir string, packages ...string) error {
	args := append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Proc is a process on a host.
type Proc struct {
	Name string
	cmd  *exec.Cmd
	out  output
	done chan struct{}
	err  error // of Wait; valid after done
}

// output collects what a process prints, and wakes who waits for a text.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed by the next write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.buf.Write(p)
}

func (o *output) look() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.buf.String(), o.changed
}

// Start starts a program on the host. Both of its outputs
// are collected unless cmd has writers already. It is killed when the
// calling process ends.
func (h *Host) Start(cmd *exec.Cmd) (*Proc, error) {
	p := &Proc{Name: h.Name + ":" + filepath.Base(cmd.Path), cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.out
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	// A grandchild that keeps the output open must not hold up Wait.
	cmd.WaitDelay = time.Second
	if err := h.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	h.procs = append(h.procs, p)
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Run runs a program on the host to its end and returns its output, both
// streams together. When ctx ends first it is killed.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	p, err := h.Start(exec.Command(name, args...))
	if err != nil {
		return "", err
	}
	err = p.Wait(ctx)
	return p.Output(), err
}

// PID returns the id of the process.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Output returns what was printed so far.
func (p *Proc) Output() string {
	s, _ := p.out.look()
	return s
}

// WaitFor waits until the process has printed a text.
func (p *Proc) WaitFor(ctx context.Context, text string) error {
	for {
		s, changed := p.out.look()
		if strings.Contains(s, text) {
			return nil
		}
		select {
		case <-changed:
		case <-p.done:
			if s := p.Output(); !strings.Contains(s, text) {
				return fmt.Errorf("%s ended (%v) before it printed %q; it printed:\n%s", p.Name, p.err, text, s)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s did not print %q: %w; it printed:\n%s", p.Name, text, ctx.Err(), p.Output())
		}
	}
}

// Wait waits for the end and returns the error of a status other than 0. When
// ctx ends first the process is killed.
func (p *Proc) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
			return fmt.Errorf("%s: %w", p.Name, p.err)
		}
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not end: %w; it printed:\n%s", p.Name, ctx.Err(), p.Output())
	}
}

// Signal sends a signal.
func (p *Proc) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the process to end by SIGTERM and waits for it.
func (p *Proc) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	return p.Wait(ctx)
}

// Kill ends the process by SIGKILL and waits for that.
func (p *Proc) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// ExitCode returns the status of an ended process, -1 after a signal.
func (p *Proc) ExitCode() int { return p.cmd.ProcessState.ExitCode() }
