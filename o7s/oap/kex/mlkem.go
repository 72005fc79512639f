// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"io"

	"github.com/cloudflare/circl/kem"
)

const (
	derMLKEM512  = "\x30\x82\x03\x32\x30\x0b\x06\x09" + oidMLKEM + "\x01\x03\x82\x03\x21\x00"
	derMLKEM768  = "\x30\x82\x04\xb2\x30\x0b\x06\x09" + oidMLKEM + "\x02\x03\x82\x04\xa1\x00"
	derMLKEM1024 = "\x30\x82\x06\x32\x30\x0b\x06\x09" + oidMLKEM + "\x03\x03\x82\x06\x21\x00"

	oidMLKEM = "\x60\x86\x48\x01\x65\x03\x04\x04" // the last number tells the size
)

// lattice is ML-KEM (FIPS 203). circl's is used for all three sizes rather
// than crypto/mlkem for two: that one reads neither 512 nor private keys in
// expanded form, and takes no randomness from the caller.
type lattice struct {
	kem.Scheme
	prefix string // "" in hybrids: bare bytes
}

type latticeKey struct {
	lattice
	private kem.PrivateKey
	content []byte // public key as sent
}

type latticePublic struct {
	lattice
	key kem.PublicKey
}

func (l lattice) generate(random io.Reader) (privateKey, error) {
	seed := make([]byte, l.SeedSize())
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	_, private := l.DeriveKeyPair(seed)
	return l.withPublic(private)
}

func (l lattice) withPublic(private kem.PrivateKey) (*latticeKey, error) {
	bare, err := private.Public().MarshalBinary()
	if err != nil {
		return nil, err
	}
	return &latticeKey{l, private, append([]byte(l.prefix), bare...)}, nil
}

func (l lattice) parse(content []byte) (publicKey, bool, error) {
	bare, ok := cutPrefix(content, l.prefix)
	if !ok {
		return nil, false, nil
	}
	key, err := l.UnmarshalBinaryPublicKey(bare)
	if err != nil {
		return nil, false, err
	}
	return latticePublic{l, key}, true, nil
}

func (k *latticeKey) public() []byte { return k.content }

// open gives a secret for every ciphertext of the right length: that a changed
// one was sent shows when packets do not decrypt (FIPS 203, implicit rejection).
func (k *latticeKey) open(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != k.CiphertextSize() {
		return nil, errLength("ciphertext", len(ciphertext), k.CiphertextSize())
	}
	return k.Decapsulate(k.private, ciphertext)
}

func (p latticePublic) seal(random io.Reader) (ciphertext, secret []byte, err error) {
	seed := make([]byte, p.EncapsulationSeedSize())
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, nil, err
	}
	return p.EncapsulateDeterministically(p.key, seed)
}
