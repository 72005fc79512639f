// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"o7gw/o7s/irm"
	"o7gw/o7s/security"
)

// maxPath is the longest path of a security file, in bytes (spec 40 §0.1).
const maxPath = 511

func (c *call) nameCreate(args []string) error {
	if len(args) == 0 {
		return c.misuse("The name is missing.")
	}
	n := irm.NameInfo{Name: args[0], Policy: irm.RoundRobin}
	switch {
	case n.Name == "":
		return c.misuse("The name is empty.")
	case len(n.Name) > maxName:
		return c.misuse("Name too long.")
	}
	w, err := c.scan(args[1:], values("lb", "sencpath", "scrtpath", "skeypath", "cencpath", "ccrtpath", "ckeypath", "srequire", "crequire"))
	if err != nil {
		return err
	}
	switch lb := w.last("lb"); {
	case !w.has("lb"):
	case lb == irm.RoundRobin.String():
	case lb == irm.Spillover.String():
		n.Policy = irm.Spillover
	default:
		return c.misuse(`Unknown parameter for lb: "%s".`, lb)
	}
	for _, p := range []struct {
		key string
		dst *string
	}{
		{"sencpath", &n.Server.Enc}, {"scrtpath", &n.Server.Cert}, {"skeypath", &n.Server.Key},
		{"cencpath", &n.Client.Enc}, {"ccrtpath", &n.Client.Cert}, {"ckeypath", &n.Client.Key},
	} {
		if !w.has(p.key) {
			continue
		}
		if *p.dst, err = securityPath(w.last(p.key)); err != nil {
			return err
		}
	}
	for _, r := range []struct {
		key string
		dst *security.Require
	}{{"srequire", &n.Server.Require}, {"crequire", &n.Client.Require}} {
		if *r.dst, err = irm.ParseRequire(w.last(r.key)); err != nil {
			return c.misuse(`Unknown parameter for %s: "%s".`, r.key, w.last(r.key))
		}
	}
	client, err := c.dial()
	if err != nil {
		return err
	}
	if err := client.CreateName(c.ctx, n); err != nil {
		return refused(err)
	}
	return nil
}

// securityPath makes the path of an existing file absolute.
func securityPath(p string) (string, error) {
	abs, err := filepath.Abs(p)
	if err == nil {
		_, err = os.Stat(abs)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case err != nil:
		return "", failf("Failed to check path %s: %w", p, err)
	case len(abs) > maxPath:
		return "", failf("File path too long: %s.", abs)
	}
	return abs, nil
}

func (c *call) nameDestroy(args []string) error {
	if len(args) != 1 {
		return c.misuse("Exactly one name is needed.")
	}
	client, err := c.dial()
	if err != nil {
		return err
	}
	if err := client.DestroyName(c.ctx, args[0]); err != nil {
		return refused(err)
	}
	return nil
}

// listNames returns the names that fit.
func (c *call) listNames(fits func(irm.NameInfo) bool) (list []irm.NameInfo, total int, err error) {
	client, err := c.dial()
	if err != nil {
		return nil, 0, err
	}
	all, err := client.ListNames(c.ctx)
	if err != nil {
		return nil, 0, refused(err)
	}
	for _, n := range all {
		if fits(n) {
			list = append(list, n)
		}
	}
	return list, len(all), nil
}
