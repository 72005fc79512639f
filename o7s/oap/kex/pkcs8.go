// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Private keys of ML-KEM in PKCS #8 (RFC 9935): a seed, an expanded key, or
// both, which is what OpenSSL writes.

var (
	lattices   = []Algorithm{MLKEM512, MLKEM768, MLKEM1024}
	tagSeed    = der.Tag(0).ContextSpecific()
	errPKCS8   = errors.New("malformed PKCS #8 key")
	errNoMLKEM = errors.New("not a key of ML-KEM")
	errDiffer  = errors.New("the seed and the expanded key differ")
)

// oid returns the object identifier of an ML-KEM.
func (a Algorithm) oid() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1 + int(a-MLKEM512)}
}

func parsePKCS8(b []byte) (*Key, error) {
	in := cryptobyte.String(b)
	var info, id, private cryptobyte.String
	var version int
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1Integer(&version) || version < 0 || version > 1 ||
		!info.ReadASN1(&id, der.SEQUENCE) || !id.ReadASN1ObjectIdentifier(&oid) ||
		!info.ReadASN1(&private, der.OCTET_STRING) {
		return nil, errPKCS8
	}
	for _, a := range lattices {
		if !oid.Equal(a.oid()) {
			continue
		}
		m, err := a.method()
		if err != nil {
			return nil, err
		}
		key, err := m.(lattice).parseChoice(private)
		if err != nil {
			return nil, err
		}
		return &Key{a, key}, nil
	}
	return nil, errNoMLKEM
}

func (l lattice) parseChoice(in cryptobyte.String) (*latticeKey, error) {
	var seed, expanded, both cryptobyte.String
	switch {
	case in.PeekASN1Tag(tagSeed):
		if !in.ReadASN1(&seed, tagSeed) {
			return nil, errPKCS8
		}
	case in.PeekASN1Tag(der.OCTET_STRING):
		if !in.ReadASN1(&expanded, der.OCTET_STRING) {
			return nil, errPKCS8
		}
	case !in.ReadASN1(&both, der.SEQUENCE) || !both.ReadASN1(&seed, der.OCTET_STRING) ||
		!both.ReadASN1(&expanded, der.OCTET_STRING) || !both.Empty():
		return nil, errPKCS8
	}
	if !in.Empty() {
		return nil, errPKCS8
	}
	if seed == nil {
		return l.expanded(expanded)
	}
	if len(seed) != l.SeedSize() {
		return nil, errLength("seed", len(seed), l.SeedSize())
	}
	key, err := l.generate(bytes.NewReader(seed))
	if err != nil {
		return nil, err
	}
	if expanded != nil {
		own, err := key.(*latticeKey).private.MarshalBinary()
		if err != nil {
			return nil, err
		}
		defer clear(own)
		if subtle.ConstantTimeCompare(own, expanded) != 1 {
			return nil, errDiffer
		}
	}
	return key.(*latticeKey), nil
}

// expanded reads the private key of FIPS 203 itself.
func (l lattice) expanded(b []byte) (*latticeKey, error) {
	if len(b) != l.PrivateKeySize() {
		return nil, errLength("expanded key", len(b), l.PrivateKeySize())
	}
	private, err := l.UnmarshalBinaryPrivateKey(b)
	if err != nil {
		return nil, err
	}
	return l.withPublic(private)
}

func (l lattice) newStatic(random io.Reader) (private, public []byte, err error) {
	seed := make([]byte, l.SeedSize())
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, nil, err
	}
	key, err := l.generate(bytes.NewReader(seed))
	if err != nil {
		return nil, nil, err
	}
	expanded, err := key.(*latticeKey).private.MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	defer clear(expanded)
	var id asn1.ObjectIdentifier
	for _, a := range lattices {
		if a.String() == l.Name() {
			id = a.oid()
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(id) })
		b.AddASN1(der.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(seed)
				b.AddASN1OctetString(expanded)
			})
		})
	})
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: b.BytesOrPanic()}),
		pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: key.public()}), nil
}
