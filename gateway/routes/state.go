// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A state file, RUNDIR/routes/NAMESPACE-PID-N.json, holds the record of one
// Apply. Its owner keeps a lock on it (flock(2)), which ends with the owner,
// however that ends: a file without lock is what a killed gateway left.
//
// Files are made and swept under a lock on the network namespace itself, whose
// inode is the NAMESPACE. So each finds the others' rules complete, those
// of gateways with other run directories too, and a run directory may be shared
// by several namespaces.
const stateDir = "routes"

// maxState is the largest state file that is read, bytes.
const maxState = 1 << 20

type stateFile struct {
	f    *os.File
	path string
}

// createState writes a state file and keeps it locked.
func createState(runDir string, namespace uint64, r *record) (*stateFile, error) {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	dir := filepath.Join(runDir, stateDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		path := filepath.Join(dir, fmt.Sprintf("%d-%d-%d.json", namespace, os.Getpid(), n))
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s := &stateFile{f: f, path: path}
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			_, err = f.Write(append(data, '\n'))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("write state: %w", err), s.remove())
		}
		return s, nil
	}
}

// remove removes the file and ends the lock.
func (s *stateFile) remove() error {
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.f.Close())
}

// left returns the state file at path and what it holds, if nobody holds it:
// nil if somebody does, a nil record if it was not written to its end, and so
// nothing was done.
func left(path string) (*stateFile, *record, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil // its owner was faster
	}
	if err != nil {
		return nil, nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = nil
		}
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &stateFile{f, path}, parseRecord(data), nil
}

// parseRecord reads the contents of a state file; nil if they are not whole, or
// not what compile makes.
func parseRecord(data []byte) *record {
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.Version != recordVersion {
		return nil
	}
	for _, e := range r.Rules {
		if e.Family != unix.AF_INET && e.Family != unix.AF_INET6 || !inSlots(e.Priority, firstPriority) ||
			!okPrefix(e.From) || !okPrefix(e.To) || len(e.Iif) >= unix.IFNAMSIZ {
			return nil
		}
	}
	for _, e := range r.Routes {
		if !e.Prefix.IsValid() || !okPrefix(e.Prefix) || !inSlots(e.Table, firstTable) {
			return nil
		}
	}
	return &r
}

// inSlots reports whether n is a number of some slot.
func inSlots(n, first int) bool { return n >= first && n < first+slots*slotSize }

// okPrefix reports whether a prefix, if there is one, has a plain address.
func okPrefix(p netip.Prefix) bool { return !p.IsValid() || !p.Addr().Is4In6() }
