// SPDX-License-Identifier: BSD-3-Clause

//go:build amd64 || arm64

package spin

// pause tells the processor that this is a spinning loop.
//
//go:noescape
func pause()
