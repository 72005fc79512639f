// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"os"

	"o7gw/o7s/irm"
)

// Check tests what Parse cannot: that the security files which the file names
// exist on this machine. It changes nothing.
func (f *File) Check() error {
	var errs []error
	for _, n := range f.Names {
		for _, p := range []irm.Protection{n.Server, n.Client} {
			for _, path := range []string{p.Enc, p.Cert, p.Key} {
				if path == "" {
					continue
				}
				if info, err := os.Stat(path); err != nil {
					errs = append(errs, fmt.Errorf("%s: name %s: %w", f.Filename, n.Name, err))
				} else if !info.Mode().IsRegular() {
					errs = append(errs, fmt.Errorf("%s: name %s: %s is not a file", f.Filename, n.Name, path))
				}
			}
		}
	}
	return errors.Join(errs...)
}
