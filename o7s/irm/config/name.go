// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"path/filepath"
	"strings"

	"o7gw/o7s/irm"
	"o7gw/o7s/security"
)

// parseName reads a table [name.<name>] (spec 40 §4.2).
func parseName(t *table, name string) irm.NameInfo {
	n := irm.NameInfo{Name: name, Policy: irm.Spillover}
	t.checkName("", "service", name)
	var lb string
	t.word(&lb, map[string]string{"spill": "spillover", "spillover": "spillover", "round-robin": "round-robin"}, "lb")
	if lb == "round-robin" {
		n.Policy = irm.RoundRobin
	}
	for _, side := range []struct {
		prefix string
		*irm.Protection
	}{{"server_", &n.Server}, {"client_", &n.Client}} {
		t.fullPath(&side.Enc, side.prefix+"enc_file")
		t.fullPath(&side.Cert, side.prefix+"crt_file")
		t.fullPath(&side.Key, side.prefix+"key_file")
		t.require(&side.Require, side.prefix+"require")
	}
	n.Programs = t.programs(name)
	t.close()
	return n
}

// fullPath reads an absolute path: a daemon's working directory is nobody's.
func (t *table) fullPath(dst *string, key string) {
	if _, ok := t.string(dst, key); ok && !filepath.IsAbs(*dst) {
		t.errorf(key, "%q is not a full path", *dst)
	}
}

// require reads what flows must have.
func (t *table) require(dst *security.Require, key string) {
	var list string
	if _, ok := t.string(&list, key); !ok {
		return
	}
	r, err := irm.ParseRequire(list)
	if err != nil {
		t.errorf(key, "%q must be encryption, authentication, or both with a comma", list)
		return
	}
	*dst = r
}

// programs reads prog and args. Program i is started on demand if there is an
// element i of args, which may be empty.
func (t *table) programs(name string) []irm.ProgramBinding {
	prog, _ := t.strings("prog")
	args, _ := t.strings("args")
	if len(args) > len(prog) {
		t.errorf("args", "there are %d for %d programs", len(args), len(prog))
		return nil
	}
	var all []irm.ProgramBinding
	for i, path := range prog {
		if !filepath.IsAbs(path) {
			t.errorf("prog", "%q is not a full path", path)
		}
		b := irm.ProgramBinding{Path: path, Name: name}
		if i < len(args) {
			b.Auto = true
			b.Args = strings.Fields(args[i])
		}
		all = append(all, b)
	}
	return all
}
