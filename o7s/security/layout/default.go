// SPDX-License-Identifier: BSD-3-Clause

package layout

import (
	"os"
	"path/filepath"
)

// DefaultDir returns the security directory of a node that is not told
// another: /etc/ouroboros/security for root, ouroboros/security in
// $XDG_CONFIG_HOME, usually ~/.config, for others.
func DefaultDir() string {
	config := "/etc"
	if os.Geteuid() != 0 {
		if dir, err := os.UserConfigDir(); err == nil {
			config = dir
		}
	}
	return filepath.Join(config, "ouroboros", "security")
}
