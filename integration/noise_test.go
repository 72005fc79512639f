// SPDX-License-Identifier: BSD-3-Clause

package integration

import "math/rand/v2"

// noise is an endless stream of bytes that do not compress.
type noise struct{ *rand.ChaCha8 }

func newNoise() noise { return noise{rand.NewChaCha8([32]byte{7})} }
