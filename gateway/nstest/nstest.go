// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package nstest runs the tests of a package in a network namespace of their
// own, so that they touch nothing of the machine.
//
// Start with Main in TestMain, and Need in tests.
package nstest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// inside is set where the tests run in their namespace.
const inside = "O7GW_TEST_IN_NAMESPACE"

// Inside reports whether this process is in a namespace that Main made.
func Inside() bool { return os.Getenv(inside) != "" }

// Main runs the tests in a new namespace, or without root, where there can be
// none, here. It returns the exit status.
func Main(m *testing.M) int {
	flag.Parse()
	if os.Geteuid() != 0 || Inside() {
		return m.Run()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return 1
	}
	fmt.Fprintln(os.Stderr, "run the tests in a network namespace:", err)
	return 1
}

// Need skips a test that is not in a namespace of its own.
func Need(t testing.TB) {
	t.Helper()
	if !Inside() {
		t.Skip("needs root: makes network interfaces in a namespace of its own")
	}
}
