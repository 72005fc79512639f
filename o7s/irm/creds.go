// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"fmt"

	"o7gw/o7s/layer"
)

// Creds is who asks: the credentials of the peer of a control socket.
type Creds struct {
	UID, GID uint32
	PID      int
	// Admin may do everything: root, the user of the daemon, a member of the
	// group ouroboros.
	Admin bool
}

// RequireAdmin returns nil for an administrator, else layer.ErrPermission
// with a text that names the operation, such as "create an IPCP".
func (c Creds) RequireAdmin(operation string) error {
	if c.Admin {
		return nil
	}
	return fmt.Errorf("%s: user %d is no administrator (root or group ouroboros): %w",
		operation, c.UID, layer.ErrPermission)
}
