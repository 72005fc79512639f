// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"o7gw/o7s/pki"
	"o7gw/o7s/security/layout"
)

// pairFiles are the two files of a certificate and its private key.
type pairFiles struct {
	cert, key string
	force     bool
	dirMode   fs.FileMode
}

func pair(dir string, force bool, dirMode fs.FileMode) pairFiles {
	return pairFiles{filepath.Join(dir, layout.Cert), filepath.Join(dir, layout.Key), force, dirMode}
}

// free makes sure that nothing gets lost, before a key is made.
func (p pairFiles) free() error {
	for _, path := range []string{p.cert, p.key} {
		if _, err := os.Lstat(path); err == nil && !p.force {
			return errExists(path)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func errExists(path string) error {
	return fmt.Errorf("%s: %w; to replace it, add the word force", path, fs.ErrExist)
}

// write writes both and prints their paths. A daemon that looks in between
// waits a moment for the other.
func (p pairFiles) write(c *call, creds *pki.Credentials) error {
	key, err := pki.MarshalKey(creds.Key)
	if err != nil {
		return err
	}
	defer clear(key)
	if err := createFile(p.key, key, 0o600, p.dirMode, p.force); err != nil {
		return err
	}
	if err := createFile(p.cert, pki.MarshalCertificate(creds.Leaf), 0o644, p.dirMode, p.force); err != nil {
		if !p.force { // else the old key is gone already
			err = errors.Join(err, os.Remove(p.key))
		}
		return err
	}
	c.printf("%s\n%s\n", p.key, p.cert)
	return nil
}

// createFile writes a file that appears complete or not at all. Without replace
// it fails with fs.ErrExist rather than to overwrite one, whoever made it and
// when. Missing directories are made.
func createFile(path string, data []byte, mode, dirMode fs.FileMode, replace bool) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	tmp := f.Name()
	defer func() {
		if tmp != "" {
			err = errors.Join(err, os.Remove(tmp))
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if replace {
		if err = os.Rename(tmp, path); err == nil {
			tmp = ""
		}
		return err
	}
	if err = os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return errExists(path)
	}
	return err
}
