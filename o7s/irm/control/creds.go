// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/irm"
)

// AdminGroup is the group whose members may administer the daemon.
const AdminGroup = "ouroboros"

// adminGroup returns the id of AdminGroup; ok is false if the machine has
// none.
func adminGroup() (gid uint32, ok bool) {
	g, err := user.LookupGroup(AdminGroup)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(id), err == nil
}

// peerCreds returns who connected, as the kernel recorded it at that moment.
func (s *server) peerCreds(c *net.UnixConn) (irm.Creds, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return irm.Creds{}, err
	}
	var creds irm.Creds
	var credErr error
	err = raw.Control(func(fd uintptr) {
		var u *unix.Ucred
		if u, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr != nil {
			return
		}
		creds = irm.Creds{UID: u.Uid, GID: u.Gid, PID: int(u.Pid)}
		creds.Admin = u.Uid == 0 || u.Uid == uint32(os.Geteuid())
		if !creds.Admin && s.hasGroup {
			creds.Admin = u.Gid == s.group || slices.Contains(peerGroups(int(fd)), s.group)
		}
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return irm.Creds{}, fmt.Errorf("credentials of peer: %w", err)
	}
	return creds, nil
}

// maxGroups is NGROUPS_MAX of Linux.
const maxGroups = 65536

// peerGroups returns the supplementary groups of the peer, none if the kernel
// does not tell.
func peerGroups(fd int) []uint32 {
	groups := make([]uint32, 32)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:min(int(size/4), len(groups))]
		case errno == unix.ERANGE && len(groups) < maxGroups:
			groups = make([]uint32, maxGroups)
		default:
			return nil
		}
	}
}

// programOf returns what the IRM is to know as the program of a process: the
// path of its executable from the kernel, or the bare name that the process
// claims if it is a script or the kernel does not tell us.
func programOf(pid int, claim string) string {
	claim = filepath.Base(claim)
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	if err != nil || !filepath.IsAbs(exe) || interpreter(filepath.Base(exe)) {
		return claim
	}
	// A program that was replaced by a new build while it runs.
	return strings.TrimSuffix(exe, " (deleted)")
}
