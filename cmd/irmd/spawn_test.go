// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s/irm"
	"o7gw/o7s/irm/control"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// reportArg as first argument makes the test binary a program that writes
// down what it was given, and then serves a name until it is asked to end.
const reportArg = "report-what-you-are"

// facts is what a started program finds.
type facts struct {
	UID, GID, PID, Group int
	Groups               []int
	Env                  []string
	Dir                  string
	Status               string // of /proc
}

// report writes facts into dir, serves the name of dir, and notes its end.
func report(dir string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	f := facts{UID: os.Getuid(), GID: os.Getgid(), PID: os.Getpid(), Group: syscall.Getpgrp(), Env: os.Environ(), Status: string(status)}
	if f.Groups, err = os.Getgroups(); err != nil {
		return err
	}
	if f.Dir, err = os.Getwd(); err != nil {
		return err
	}
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	// Before the test knows of us, and may ask us to end.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := os.WriteFile(filepath.Join(dir, "facts"), data, 0o644); err != nil {
		return err
	}
	c, err := control.Dial(ctx, os.Getenv("O7S_RUN_DIR"))
	if err == nil {
		defer c.Close()
		for {
			a, err := c.Accept(ctx, "")
			if err != nil {
				break
			}
			a.Ring.Close()
			if err := a.Dealloc(); err != nil {
				return err
			}
		}
	}
	<-ctx.Done()
	if c != nil { // a program may still talk to its clients when it is asked to end
		if _, err := c.Status(context.Background()); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "ended"), nil, 0o644)
}

func readFacts(t *testing.T, dir string) facts {
	t.Helper()
	var f facts
	var data []byte
	var err error
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		data, err = os.ReadFile(filepath.Join(dir, "facts"))
		if err == nil && json.Unmarshal(data, &f) == nil {
			return f
		}
		if time.Now().After(end) {
			t.Fatalf("program has not started: %v", err)
		}
	}
}

// statusLine returns a field of /proc/PID/status.
func (f facts) statusLine(name string) string {
	for line := range strings.Lines(f.Status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestSpawnedIdentity: the program is what its binder is, not what we are.
func TestSpawnedIdentity(t *testing.T) {
	who := irm.Creds{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if os.Geteuid() == 0 {
		who = irm.Creds{UID: 65534, GID: 65533}
	}
	signals := newSignals() // as in the daemon: none of it must be inherited
	defer signals.stop()
	dir := openDir(t)
	child, err := spawner{runDir: "/nowhere"}.spawn(irm.ProgramBinding{Path: openExe(t), Args: []string{reportArg, dir}, Creds: who})
	if err != nil {
		t.Fatal(err)
	}
	f := readFacts(t, dir)
	if f.UID != int(who.UID) || f.GID != int(who.GID) || f.PID != child.PID || f.Group != child.PID || f.Dir != "/" {
		t.Errorf("program is %+v", f)
	}
	if slices.Contains(f.Groups, 0) && who.GID != 0 {
		t.Errorf("program has groups %v", f.Groups)
	}
	for _, want := range []string{"O7S_RUN_DIR=/nowhere", "PATH=" + searchPath} {
		if !slices.Contains(f.Env, want) {
			t.Errorf("environment %q lacks %q", f.Env, want)
		}
	}
	if len(f.Env) != 4 {
		t.Errorf("environment %q", f.Env)
	}
	// The report is a Go program, whose runtime catches signals; blocked and
	// ignored ones it inherits.
	const none = "0000000000000000"
	if f.statusLine("SigBlk") != none || f.statusLine("SigIgn") != none {
		t.Errorf("signals blocked %s, ignored %s", f.statusLine("SigBlk"), f.statusLine("SigIgn"))
	}
	child.Stop(false)
	select {
	case <-child.Done:
	case <-time.After(patience):
		t.Fatal("program does not end")
	}
	if _, err := os.Stat(filepath.Join(dir, "ended")); err != nil {
		t.Errorf("program was not asked to end: %v", err)
	}
	if err := syscall.Kill(child.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("program was not reaped: %v", err)
	}
	child.Stop(true) // must hit nobody
}

func TestSpawnKill(t *testing.T) {
	child, err := spawner{}.spawn(irm.ProgramBinding{
		Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; while :; do sleep 0.1; done"},
		Creds: irm.Creds{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
	})
	if err != nil {
		t.Fatal(err)
	}
	child.Stop(false)
	child.Stop(true)
	select {
	case <-child.Done:
	case <-time.After(patience):
		t.Fatal("program survives SIGKILL")
	}
}

func TestSpawnRefused(t *testing.T) {
	if _, err := (spawner{}).spawn(irm.ProgramBinding{Path: "/nonexistent", Creds: irm.Creds{UID: uint32(os.Getuid())}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing program: %v", err)
	}
	if os.Geteuid() == 0 {
		return // root may become everybody
	}
	if _, err := credential(irm.Creds{UID: uint32(os.Getuid()) + 1}); !errors.Is(err, layer.ErrPermission) {
		t.Errorf("another user: %v", err)
	}
}

// TestAutostart: the whole way, from a flow to a name that nobody serves.
func TestAutostart(t *testing.T) {
	d := start(t)
	c := d.dial(t)
	dir := openDir(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := irm.ProgramBinding{Path: exe, Args: []string{reportArg, dir}, Auto: true, Name: "svc"}
	if err := c.BindProgram(testContext(t), b); err != nil {
		t.Fatal(err)
	}
	f, err := c.Alloc(testContext(t), "svc", qos.Raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, &d.out)
	}
	f.Ring.Close()
	if err := f.Dealloc(); err != nil {
		t.Error(err)
	}
	if got := readFacts(t, dir); got.UID != os.Getuid() || !slices.Contains(got.Env, "O7S_RUN_DIR="+d.dir) {
		t.Errorf("program is %+v", got)
	}
	d.signal(t, syscall.SIGTERM)
	d.exits(t, 0)
	if _, err := os.Stat(filepath.Join(dir, "ended")); err != nil {
		t.Errorf("program was not asked to end: %v\n%s", err, &d.out)
	}
}
