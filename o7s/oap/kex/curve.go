// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"crypto/ecdh"
	"io"
)

// Beginnings of SubjectPublicKeyInfo: all that comes before the key itself.
const (
	derX25519 = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00"
	derP256   = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
	derP384   = "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00"
	derP521   = "\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00"
)

// curve is Diffie-Hellman over X25519 or a NIST curve: uncompressed points,
// the secret is the x-coordinate.
type curve struct {
	ecdh.Curve
	prefix string // "" in hybrids: bare bytes
	size   int    // of a private key, bytes
	first  byte   // bits of its first byte that may be set
}

type curveKey struct {
	curve
	private *ecdh.PrivateKey
}

type curvePoint struct {
	curve
	point *ecdh.PublicKey
}

// generate draws until the number is below the order of the curve: at most
// once in 2^32 tries it is not. (ecdh's own GenerateKey ignores its reader.)
func (c curve) generate(random io.Reader) (privateKey, error) {
	b := make([]byte, c.size)
	defer clear(b)
	for range 8 {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		b[0] &= c.first
		if key, err := c.NewPrivateKey(b); err == nil {
			return curveKey{c, key}, nil
		}
	}
	return nil, errRandom
}

func (c curve) parse(content []byte) (publicKey, bool, error) {
	bare, ok := cutPrefix(content, c.prefix)
	if !ok {
		return nil, false, nil
	}
	point, err := c.NewPublicKey(bare)
	if err != nil {
		return nil, false, err
	}
	return curvePoint{c, point}, true, nil
}

func (k curveKey) public() []byte {
	return append([]byte(k.prefix), k.private.PublicKey().Bytes()...)
}

func (k curveKey) open(answer []byte) ([]byte, error) {
	peer, ok, err := k.parse(answer)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrUnknown
	}
	return k.private.ECDH(peer.(curvePoint).point)
}

func (p curvePoint) seal(random io.Reader) (answer, secret []byte, err error) {
	own, err := p.generate(random)
	if err != nil {
		return nil, nil, err
	}
	secret, err = own.(curveKey).private.ECDH(p.point)
	if err != nil {
		return nil, nil, err
	}
	return own.public(), secret, nil
}
