// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package privilege reports and gives up capabilities of the process
// (capabilities(7)).
//
// Start with Drop after set-up and Has before it.
package privilege

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The capabilities that a gateway uses.
const (
	NetAdmin = unix.CAP_NET_ADMIN // make and change network interfaces
	NetRaw   = unix.CAP_NET_RAW   // raw sockets
)

// ErrCgo is returned by Drop in a program that was built with cgo: threads
// that C code starts cannot be reached.
var ErrCgo = errors.New("drop privileges: built with cgo; build with CGO_ENABLED=0")

// Has reports whether the capability is in effect.
func Has(capability int) (bool, error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	return d[capability/32].Effective&(1<<(capability%32)) != 0, nil
}

// Drop gives up every capability but those listed, as far as the process has
// them, for good and in all threads; programs that it starts get no new ones.
func Drop(keep ...int) error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have, d [2]unix.CapUserData
	if err := unix.Capget(&h, &have[0]); err != nil {
		return fmt.Errorf("drop privileges: %w", err)
	}
	for _, c := range keep {
		bit := uint32(1) << (c % 32) & have[c/32].Permitted
		d[c/32].Permitted |= bit
		d[c/32].Effective |= bit
	}
	if _, _, err := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err == syscall.ENOTSUP {
		return ErrCgo
	} else if err != 0 {
		return fmt.Errorf("drop privileges: %w", err)
	}
	_, _, err := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&d[0])), 0)
	if err != 0 {
		return fmt.Errorf("drop privileges: %w", err)
	}
	return nil
}
