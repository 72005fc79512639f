// SPDX-License-Identifier: BSD-3-Clause

// Package digest knows the hash functions of the Ouroboros Allocation Protocol
// (spec 30 §6.3) by their numbers on the wire, their names in enc.conf and
// their rank of strength. The same numbers serve for key derivation, for
// signatures and for the hash of a request.
//
// Start with New for a hash and with ByName for a configuration.
package digest

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
)

// Numbers on the wire: those of OpenSSL.
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

// digest is one row of the table.
type digest struct {
	number uint16
	name   string
	size   int // bytes
	new    func() hash.Hash
}

// digests stand in the order of their strength, the weakest first.
var digests = [...]digest{
	{BLAKE2s256, "blake2s256", 32, func() hash.Hash { h, _ := blake2s.New256(nil); return h }},
	{SHA256, "sha256", 32, sha256.New},
	{SHA3_256, "sha3-256", 32, func() hash.Hash { return sha3.New256() }},
	{SHA384, "sha384", 48, sha512.New384},
	{SHA3_384, "sha3-384", 48, func() hash.Hash { return sha3.New384() }},
	{BLAKE2b512, "blake2b512", 64, func() hash.Hash { h, _ := blake2b.New512(nil); return h }},
	{SHA512, "sha512", 64, sha512.New},
	{SHA3_512, "sha3-512", 64, func() hash.Hash { return sha3.New512() }},
}

func find(md uint16) (rank int, d *digest) {
	for i := range digests {
		if digests[i].number == md {
			return i + 1, &digests[i]
		}
	}
	return 0, nil
}

// Known reports whether md is the number of a digest.
func Known(md uint16) bool { return Rank(md) > 0 }

// Rank returns the strength by which two ends agree on one of two digests:
// 1 is the weakest, 0 is none or unknown.
func Rank(md uint16) int {
	rank, _ := find(md)
	return rank
}

// Size returns the length in bytes of a digest, 0 if md is unknown.
func Size(md uint16) int {
	if _, d := find(md); d != nil {
		return d.size
	}
	return 0
}

// Func returns what makes a hash, nil if md is unknown.
func Func(md uint16) func() hash.Hash {
	if _, d := find(md); d != nil {
		return d.new
	}
	return nil
}

// New returns a new hash, nil if md is unknown.
func New(md uint16) hash.Hash {
	if f := Func(md); f != nil {
		return f()
	}
	return nil
}

// Name returns the name in enc.conf, "" if md is unknown.
func Name(md uint16) string {
	if _, d := find(md); d != nil {
		return d.name
	}
	return ""
}

// ByName returns the number of the digest with a name of enc.conf.
func ByName(name string) (md uint16, ok bool) {
	for i := range digests {
		if digests[i].name == name {
			return digests[i].number, true
		}
	}
	return 0, false
}

// Names returns all names, the weakest first, for messages to users.
func Names() []string {
	names := make([]string, len(digests))
	for i := range digests {
		names[i] = digests[i].name
	}
	return names
}
