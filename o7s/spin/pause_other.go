// SPDX-License-Identifier: BSD-3-Clause

//go:build !amd64 && !arm64

package spin

// pause does nothing where we know no instruction for it.
func pause() {}
