// SPDX-License-Identifier: BSD-3-Clause

// Package layout says where in a security directory the files of a name are
// (spec 30 §6.10), for those that read and those that write them.
//
// Start with Dir.
package layout

import (
	"path/filepath"
	"strings"
)

// Names of files and directories.
const (
	Server = "server" // directories of what a name needs to be served,
	Client = "client" // and to be called

	Cert      = "crt.pem"
	Key       = "key.pem"
	Enc       = "enc.conf"
	ServerKEM = "kex.key"     // + .pem or .raw
	ClientKEM = "kex.srv.pub" // + .pem or .raw
)

// Dir returns the directory of a name on one side; ok is false if the name
// cannot have one. Slashes make deeper directories, as they do in the
// prototype, but no part may be empty, "." or "..": the files of a name must
// not be those of another, or lie elsewhere.
func Dir(security, side, name string) (dir string, ok bool) {
	if len(name) > 255 || strings.IndexByte(name, 0) >= 0 {
		return "", false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return "", false
		}
	}
	return filepath.Join(security, side, name), true
}
