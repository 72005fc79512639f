// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"fmt"
	"strings"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/security"
)

// Protection says how the flows on one side of a name are protected: by which
// files, empty paths being those of spec 30 §6.10, and what is refused if it is
// missing.
type Protection struct {
	security.Paths
	Require security.Require
}

// ParseRequire reads a list of what flows must have, as enc.conf has it:
// "encryption", "authentication", or both with a comma.
func ParseRequire(list string) (r security.Require, err error) {
	if r.Encryption, r.Authentication, err = encconf.ParseRequire(list); err != nil {
		err = fmt.Errorf("%w: %w", err, layer.ErrInvalid)
	}
	return r, err
}

// FormatRequire is the opposite of ParseRequire.
func FormatRequire(r security.Require) string {
	var words []string
	if r.Encryption {
		words = append(words, "encryption")
	}
	if r.Authentication {
		words = append(words, "authentication")
	}
	return strings.Join(words, ",")
}
