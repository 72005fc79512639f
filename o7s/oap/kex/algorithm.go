// SPDX-License-Identifier: BSD-3-Clause

// Package kex implements the key exchanges of the Ouroboros Allocation
// Protocol (spec 30 §6.3–6.5): Diffie-Hellman over X25519, X448, the NIST
// curves and finite fields, ML-KEM, and hybrids of ML-KEM with X25519 or X448.
// All randomness comes from the caller, so that an exchange can be repeated.
//
// Start with Generate at the end that asks, and with ParsePublic and
// Public.Respond at the end that answers; both end in a Secret, which gives the
// session key. ParseStaticPublic and ParseStaticKey read the files of a server
// whose key clients know beforehand.
package kex

import (
	"crypto/ecdh"
	"fmt"

	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
)

// Algorithm is a key exchange by its number. The number is never sent: the
// receiver tells the algorithm by the form of the public key. 0 is none.
type Algorithm uint16

// Numbers: those of OpenSSL, but for the hybrids.
const (
	FFDHE2048      Algorithm = 1126
	Prime256v1     Algorithm = 415
	X25519         Algorithm = 1034
	FFDHE3072      Algorithm = 1127
	Secp384r1      Algorithm = 715
	FFDHE4096      Algorithm = 1128
	X448           Algorithm = 1035
	Secp521r1      Algorithm = 716
	MLKEM512       Algorithm = 1454
	MLKEM768       Algorithm = 1455
	MLKEM1024      Algorithm = 1456
	X25519MLKEM768 Algorithm = 2053
	X448MLKEM1024  Algorithm = 2054
)

// algorithms stand in the order of their strength, the weakest first.
var algorithms = [...]struct {
	number Algorithm
	name   string
	method method
}{
	{FFDHE2048, "ffdhe2048", &ffdhe2048},
	{Prime256v1, "prime256v1", curve{ecdh.P256(), derP256, 32, 0xff}},
	{X25519, "X25519", curve{ecdh.X25519(), derX25519, 32, 0xff}},
	{FFDHE3072, "ffdhe3072", &ffdhe3072},
	{Secp384r1, "secp384r1", curve{ecdh.P384(), derP384, 48, 0xff}},
	{FFDHE4096, "ffdhe4096", &ffdhe4096},
	{X448, "X448", goldilocks{derX448}},
	{Secp521r1, "secp521r1", curve{ecdh.P521(), derP521, 66, 0x01}},
	{MLKEM512, "ML-KEM-512", lattice{mlkem512.Scheme(), derMLKEM512}},
	{MLKEM768, "ML-KEM-768", lattice{mlkem768.Scheme(), derMLKEM768}},
	{MLKEM1024, "ML-KEM-1024", lattice{mlkem1024.Scheme(), derMLKEM1024}},
	{X25519MLKEM768, "X25519MLKEM768", hybrid{
		lattice{mlkem768.Scheme(), ""}, curve{ecdh.X25519(), "", 32, 0xff}, 32}},
	{X448MLKEM1024, "X448MLKEM1024", hybrid{
		lattice{mlkem1024.Scheme(), ""}, goldilocks{""}, 56}},
}

// Rank returns the strength by which a server judges the choice of a client:
// 1 is the weakest, 0 is none or unknown.
func (a Algorithm) Rank() int {
	for i := range algorithms {
		if algorithms[i].number == a {
			return i + 1
		}
	}
	return 0
}

// String returns the name in enc.conf.
func (a Algorithm) String() string {
	switch r := a.Rank(); {
	case r > 0:
		return algorithms[r-1].name
	case a == 0:
		return "none"
	}
	return fmt.Sprintf("key exchange %d", uint16(a))
}

// KEM reports whether the algorithm encapsulates, and so can be used with a
// static key of the server.
func (a Algorithm) KEM() bool { return a.Rank() >= MLKEM512.Rank() }

// Hybrid reports whether the content is bare bytes instead of DER.
func (a Algorithm) Hybrid() bool { return a.Rank() >= X25519MLKEM768.Rank() }

func (a Algorithm) method() (method, error) {
	if r := a.Rank(); r > 0 {
		return algorithms[r-1].method, nil
	}
	return nil, fmt.Errorf("%v: %w", a, ErrUnknown)
}

// ByName returns the algorithm with a name of enc.conf.
func ByName(name string) (a Algorithm, ok bool) {
	for i := range algorithms {
		if algorithms[i].name == name {
			return algorithms[i].number, true
		}
	}
	return 0, false
}

// Names returns all names, the weakest first, for messages to users.
func Names() []string {
	names := make([]string, len(algorithms))
	for i := range algorithms {
		names[i] = algorithms[i].name
	}
	return names
}
