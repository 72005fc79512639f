// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"o7gw/o7s/oap/digest"
)

// KeySize is the length of a session key in bytes.
const KeySize = 32

// What tells the two derivations apart (spec 30 §6.5).
const (
	infoDH  = "o7s-ossl-dhe"
	infoKEM = "o7s-ossl-encap"
)

// Secret is what both ends of an exchange have in common. It is not uniformly
// random: only Key may be used to encrypt.
type Secret struct {
	secret []byte
	salt   [sha256.Size]byte
	info   string
}

// newSecret binds the secret to the messages that made it: the offered public
// key and the answer, as sent.
func newSecret(a Algorithm, secret, offered, answer []byte) *Secret {
	if a.KEM() {
		return &Secret{secret, sha256.Sum256(offered), infoKEM}
	}
	return &Secret{secret, dhSalt(offered, answer), infoDH}
}

// dhSalt is the hash of both keys, the lexicographically smaller first, so
// that neither end has to know which of them asked. bytes.Compare puts the
// shorter of two first if it begins the other, as is required.
func dhSalt(a, b []byte) (salt [sha256.Size]byte) {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	h := sha256.New()
	h.Write(a)
	h.Write(b)
	h.Sum(salt[:0])
	return salt
}

var errNoKDF = errors.New("derive session key: unknown hash or none")

// Key derives the session key, KeySize bytes, by HKDF with the hash of number
// kdf. It wipes the secret: a second call fails.
func (s *Secret) Key(kdf uint16) ([]byte, error) {
	if len(s.secret) == 0 {
		return nil, errors.New("derive session key: secret is used up")
	}
	f := digest.Func(kdf)
	if f == nil {
		return nil, errNoKDF
	}
	key, err := hkdf.Key(f, s.secret, s.salt[:], s.info, KeySize)
	clear(s.secret)
	s.secret = nil
	if err != nil {
		return nil, fmt.Errorf("derive session key: %w", err)
	}
	return key, nil
}
