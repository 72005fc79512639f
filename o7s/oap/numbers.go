// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
)

// Numbers of digests on the wire (spec 30 §6.3): those of OpenSSL.
const (
	SHA256     uint16 = 672
	SHA384     uint16 = 673
	SHA512     uint16 = 674
	BLAKE2b512 uint16 = 1056
	BLAKE2s256 uint16 = 1057
	SHA3_256   uint16 = 1097
	SHA3_384   uint16 = 1098
	SHA3_512   uint16 = 1099
)

var digests = map[uint16]struct {
	size int // bytes
	new  func() hash.Hash
}{
	SHA256:     {32, sha256.New},
	SHA384:     {48, sha512.New384},
	SHA512:     {64, sha512.New},
	BLAKE2b512: {64, func() hash.Hash { h, _ := blake2b.New512(nil); return h }},
	BLAKE2s256: {32, func() hash.Hash { h, _ := blake2s.New256(nil); return h }},
	SHA3_256:   {32, func() hash.Hash { return sha3.New256() }},
	SHA3_384:   {48, func() hash.Hash { return sha3.New384() }},
	SHA3_512:   {64, func() hash.Hash { return sha3.New512() }},
}

// DigestSize returns the length in bytes of a digest by its number, 0 if it is
// unknown.
func DigestSize(md uint16) int { return digests[md].size }

// knownCipher reports whether the number is one of a packet cipher:
// aes-128/192/256-gcm, aes-128/192/256-ctr, chacha20-poly1305.
func knownCipher(n uint16) bool {
	switch n {
	case 895, 898, 901, 904, 905, 906, 1018:
		return true
	}
	return false
}

// requestHash returns the digest over a whole request, as its response has to
// repeat it; md is that of the request.
func requestHash(md uint16, request []byte) []byte {
	if md == 0 {
		md = SHA384
	}
	h := digests[md].new()
	h.Write(request)
	return h.Sum(nil)
}
