// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// finiteField is Diffie-Hellman in a group of RFC 7919.
//
// math/big does not run in constant time. What an observer of the timing could
// learn is bounded by the use: a private key serves for one exchange and no
// other. With X25519 or a NIST curve there is nothing to observe.
type finiteField struct {
	prime string
	size  int // of a private key in bytes: twice the strength of the group
	// values gives what is computed from the prime, once.
	values func() *fieldValues
}

type fieldValues struct {
	p          *big.Int
	pMinus1    *big.Int
	identifier []byte // AlgorithmIdentifier, DER
}

type fieldKey struct {
	*finiteField
	private *big.Int
	content []byte // public key as sent
}

type fieldElement struct {
	*finiteField
	y *big.Int
}

var (
	ffdhe2048 = newFiniteField(prime2048, 32)
	ffdhe3072 = newFiniteField(prime3072, 40)
	ffdhe4096 = newFiniteField(prime4096, 48)

	two   = big.NewInt(2) // the generator of all groups
	oidDH = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1}
)

func newFiniteField(prime string, size int) finiteField {
	return finiteField{prime, size, sync.OnceValue(func() *fieldValues {
		p, _ := new(big.Int).SetString(prime, 16)
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidDH)
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(p)
				b.AddASN1BigInt(two)
			})
		})
		return &fieldValues{p, new(big.Int).Sub(p, big.NewInt(1)), b.BytesOrPanic()}
	})}
}

func (f *finiteField) generate(random io.Reader) (privateKey, error) {
	b := make([]byte, f.size)
	defer clear(b)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	x := new(big.Int).SetBytes(b)
	if x.Cmp(two) < 0 {
		return nil, errRandom
	}
	return &fieldKey{f, x, f.encode(new(big.Int).Exp(two, x, f.values().p))}, nil
}

// encode gives the SubjectPublicKeyInfo of a public key.
func (f *finiteField) encode(y *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(f.values().identifier)
		b.AddASN1(der.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(0) // unused bits
			b.AddASN1BigInt(y)
		})
	})
	return b.BytesOrPanic()
}

var (
	errDER   = errors.New("malformed DER")
	errGroup = errors.New("public key is not in the group")
)

func (f *finiteField) parse(content []byte) (publicKey, bool, error) {
	v := f.values()
	in := cryptobyte.String(content)
	var info, id cryptobyte.String
	if !in.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1Element(&id, der.SEQUENCE) || string(id) != string(v.identifier) {
		return nil, false, nil
	}
	var bits []byte
	if !info.ReadASN1BitStringAsBytes(&bits) || !info.Empty() || !in.Empty() {
		return nil, false, errDER
	}
	y, number := new(big.Int), cryptobyte.String(bits)
	if !number.ReadASN1Integer(y) || !number.Empty() {
		return nil, false, errDER
	}
	// 1, p-1 and numbers that are no squares lie outside the group of prime
	// order that 2 generates: they would give away bits of the private key.
	if y.Cmp(two) < 0 || y.Cmp(v.pMinus1) >= 0 || big.Jacobi(y, v.p) != 1 {
		return nil, false, errGroup
	}
	return fieldElement{f, y}, true, nil
}

func (k *fieldKey) public() []byte { return k.content }

func (k *fieldKey) open(answer []byte) ([]byte, error) {
	peer, ok, err := k.parse(answer)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrUnknown
	}
	return k.agree(peer.(fieldElement)), nil
}

// agree returns the secret without leading zero bytes, as the prototype has it
// (spec 30 §6.4): about one in 256 is shorter than the modulus.
func (k *fieldKey) agree(peer fieldElement) []byte {
	return new(big.Int).Exp(peer.y, k.private, k.values().p).Bytes()
}

func (e fieldElement) seal(random io.Reader) (answer, secret []byte, err error) {
	own, err := e.generate(random)
	if err != nil {
		return nil, nil, err
	}
	return own.public(), own.(*fieldKey).agree(e), nil
}
