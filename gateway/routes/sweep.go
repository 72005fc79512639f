// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Sweep removes what gateways with this run directory left in the kernel when
// they were killed, in the network namespace of the caller, and returns
// what it removed. What belongs to a gateway that lives is not touched. It
// needs CAP_NET_ADMIN if there is something to remove, and nothing if not.
func Sweep(runDir string) (removed []string, err error) {
	dir := filepath.Join(runDir, stateDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	ns, err := lockNamespace()
	if err != nil {
		return nil, fmt.Errorf("sweep routes: %w", err)
	}
	defer ns.unlock()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sweep routes: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if ok, _ := filepath.Match(strconv.FormatUint(ns.id, 10)+"-*.json", e.Name()); !ok {
			continue
		}
		found, err := sweepFile(filepath.Join(dir, e.Name()))
		removed = append(removed, found...)
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep routes: %s: %w", e.Name(), err))
		}
	}
	return removed, errors.Join(errs...)
}

// sweepFile removes what one state file tells of, if its owner is dead.
func sweepFile(path string) ([]string, error) {
	s, r, err := left(path)
	if s == nil {
		return nil, err
	}
	var found []string
	if r != nil {
		if found, err = r.remove(); err != nil {
			s.f.Close() // the file stays for the next time
			return found, err
		}
	}
	return found, s.remove()
}
