// SPDX-License-Identifier: BSD-3-Clause

package layer

import (
	"crypto/md5"
	"crypto/sha3"
	"encoding/hex"
	"fmt"
)

// Hash is the raw digest of a service name, as layers know it. It is
// comparable and so may be the key of a map.
type Hash string

// Hex returns the digest in lower-case hexadecimal.
func (h Hash) Hex() string { return hex.EncodeToString([]byte(h)) }

// Short returns the first four bytes in hexadecimal, as logs show it.
func (h Hash) Short() string { return hex.EncodeToString([]byte(h[:min(4, len(h))])) }

// HashAlgo is the directory hash algorithm of a layer. Numbers are those of
// the wire (spec 10 §1.1).
type HashAlgo uint8

const (
	SHA3_224 HashAlgo = 0
	SHA3_256 HashAlgo = 1 // default
	SHA3_384 HashAlgo = 2
	SHA3_512 HashAlgo = 3
	MD5      HashAlgo = 5 // udp4 and udp6, always
)

// hashAlgos gives names as users type them, and digest lengths in bytes.
var hashAlgos = map[HashAlgo]struct {
	name string
	size int
}{
	SHA3_224: {"SHA3_224", 28},
	SHA3_256: {"SHA3_256", 32},
	SHA3_384: {"SHA3_384", 48},
	SHA3_512: {"SHA3_512", 64},
	MD5:      {"MD5", 16},
}

// ParseHashAlgo returns the algorithm of a name typed by a user: SHA3_224,
// SHA3_256, SHA3_384 or SHA3_512.
func ParseHashAlgo(s string) (HashAlgo, error) {
	for a := SHA3_224; a <= SHA3_512; a++ {
		if hashAlgos[a].name == s {
			return a, nil
		}
	}
	return 0, fmt.Errorf("parse hash: %q is none of SHA3_224, SHA3_256, SHA3_384, SHA3_512", s)
}

// String returns the name as users type it.
func (a HashAlgo) String() string {
	if e, ok := hashAlgos[a]; ok {
		return e.name
	}
	return fmt.Sprintf("HashAlgo(%d)", uint8(a))
}

// Size returns the digest length in bytes, 0 for an unknown algorithm.
func (a HashAlgo) Size() int { return hashAlgos[a].size }

// Sum hashes a service name, byte for byte as the user gave it. It panics for
// an unknown algorithm.
func (a HashAlgo) Sum(name string) Hash {
	b := []byte(name)
	switch a {
	case SHA3_224:
		d := sha3.Sum224(b)
		return Hash(d[:])
	case SHA3_256:
		d := sha3.Sum256(b)
		return Hash(d[:])
	case SHA3_384:
		d := sha3.Sum384(b)
		return Hash(d[:])
	case SHA3_512:
		d := sha3.Sum512(b)
		return Hash(d[:])
	case MD5:
		d := md5.Sum(b)
		return Hash(d[:])
	}
	panic("layer: unknown hash algorithm")
}
