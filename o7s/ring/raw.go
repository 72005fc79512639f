// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Those of the system calls that make and unmake a ring which are short and never
// wait are raw ones: an ordinary one has the runtime look whether it takes long, and
// give a thread to those who wait meanwhile. A node that makes thousands of flows a
// second would do that all the time (see package poll).

var memName = [...]byte{'o', '7', 's', '-', 'r', 'i', 'n', 'g', 0}

func rawMemfd() (int, error) {
	fd, _, errno := unix.RawSyscall(unix.SYS_MEMFD_CREATE, uintptr(unsafe.Pointer(&memName)), unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING, 0)
	return int(fd), errnoOf(errno)
}

func rawFcntl(fd, cmd, arg int) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), uintptr(cmd), uintptr(arg))
	return int(n), errnoOf(errno)
}

func rawClose(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

func errnoOf(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
