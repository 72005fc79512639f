// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"o7gw/o7s/layer"
)

// Listener is the control socket of a run directory. While it is open no
// other daemon can use the directory.
type Listener struct {
	*net.UnixListener
	lock *os.File
}

// Listen makes the run directory if it is missing, takes its lock, and opens
// the control socket in it, in place of one that a dead daemon left. Everybody
// may connect; what they may do depends on who they are.
func Listen(runDir string) (*Listener, error) {
	fail := func(err error) (*Listener, error) {
		return nil, fmt.Errorf("open control socket in %s: %w", runDir, err)
	}
	path := SocketPath(runDir)
	if err := checkLength(path); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return fail(err)
	}
	lock, err := takeLock(filepath.Join(runDir, lockName))
	if err != nil {
		return fail(err)
	}
	// Under the lock nobody else's socket can be in use.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		lock.Close()
		return fail(err)
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		lock.Close()
		return fail(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		lock.Close()
		return fail(err)
	}
	return &Listener{UnixListener: l, lock: lock}, nil
}

// Close closes and removes the socket, then gives the directory free.
func (l *Listener) Close() error {
	err := l.UnixListener.Close()
	return errors.Join(err, l.lock.Close())
}

// takeLock takes an exclusive lock on a file, which the kernel gives back when
// the process ends, however it ends. The file holds the owner's pid for
// people; it stays, as removing it would let two owners lock two files.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	var lockErr error
	if err := conn.Control(func(fd uintptr) { lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		lockErr = err
	}
	if lockErr != nil {
		owner := make([]byte, 16)
		n, _ := f.Read(owner) // only for the text
		f.Close()
		if errors.Is(lockErr, unix.EWOULDBLOCK) {
			return nil, &Error{Code: layer.ErrIRMd, Text: fmt.Sprintf("another daemon, process %s, uses it", digits(owner[:n]))}
		}
		return nil, lockErr
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// digits returns the leading digits of b.
func digits(b []byte) string {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return string(b[:n])
}

// checkLength refuses a path that the kernel cannot take, for which it has no
// telling error.
func checkLength(path string) error {
	if limit := len(unix.RawSockaddrUnix{}.Path) - 1; len(path) > limit {
		return &Error{Code: layer.ErrInvalid, Text: fmt.Sprintf("path %q is longer than %d bytes: choose a shorter run directory", path, limit)}
	}
	return nil
}
