// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"context"
	"os"
	"path/filepath"

	"o7gw/o7s/irm/control"
)

var _ Backend = (*control.Client)(nil)

// ErrDisconnected is wrapped by the errors of a Stack whose daemon is gone, or
// that was closed. It does not come back: Connect again.
var ErrDisconnected = control.ErrLost

// Connect attaches this process to the daemon of the run directory, that of
// DefaultRunDir if it is empty. The daemon forgets everything of the process when the
// Stack is closed, or the process ends.
func Connect(ctx context.Context, runDir string) (*Stack, error) {
	if runDir == "" {
		runDir = DefaultRunDir()
	}
	c, err := control.Dial(ctx, runDir)
	if err != nil {
		return nil, opError("connect", runDir, err)
	}
	return NewStack(c), nil
}

// DefaultRunDir returns the run directory of the node that programs use if
// they are not told another: $O7S_RUN_DIR, else /run/ouroboros for root, else
// ouroboros in $XDG_RUNTIME_DIR.
func DefaultRunDir() string {
	if dir := os.Getenv("O7S_RUN_DIR"); dir != "" {
		return dir
	}
	const system = "/run/ouroboros"
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && os.Geteuid() != 0 {
		return filepath.Join(dir, "ouroboros")
	}
	return system
}
