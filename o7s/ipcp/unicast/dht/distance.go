// SPDX-License-Identifier: BSD-3-Clause

package dht

import "math/bits"

// Node ids and keys are strings of the same length; the distance of two is
// their XOR, over the full length, as a big-endian number.

// nearer reports whether a is nearer to the key than b.
func nearer(key, a, b string) bool {
	for i := range len(key) {
		if a[i] != b[i] {
			return a[i]^key[i] < b[i]^key[i]
		}
	}
	return false
}

// sharedBits returns how many bits a and b have in common, from the first on.
func sharedBits(a, b string) int {
	for i := range len(a) {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(a)
}
