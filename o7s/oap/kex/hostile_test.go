// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
)

// Each length and each change of an offer and an answer is refused or gives
// the peers different secrets, and nothing panics.
func TestHostileContent(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			a, _ := ByName(name)
			k, err := Generate(a, seeded(1))
			if err != nil {
				t.Fatal(err)
			}
			offer := k.Public()
			p, err := ParsePublic(offer, a.Hybrid())
			if err != nil {
				t.Fatal(err)
			}
			answer, honest, err := p.Respond(seeded(2))
			if err != nil {
				t.Fatal(err)
			}
			step := max(1, len(offer)/40)
			for n := 0; n < len(offer); n += step {
				if got, err := ParsePublic(offer[:n], a.Hybrid()); err == nil {
					t.Errorf("%d of %d bytes are a key of %v", n, len(offer), got.Algorithm)
				}
			}
			if got, err := ParsePublic(append(bytes.Clone(offer), 0), a.Hybrid()); err == nil {
				t.Errorf("one byte more is a key of %v", got.Algorithm)
			}
			if got, err := ParsePublic(offer, !a.Hybrid()); err == nil {
				t.Errorf("with the other flag it is a key of %v", got.Algorithm)
			}
			for n := 0; n < len(answer); n += step {
				if _, err := k.Finish(answer[:n]); err == nil {
					t.Errorf("%d of %d bytes are an answer", n, len(answer))
				}
			}
			if _, err := k.Finish(append(bytes.Clone(answer), 0)); err == nil {
				t.Error("one byte more is an answer")
			}
			for i := 0; i < len(answer); i += step {
				changed := bytes.Clone(answer)
				changed[i] ^= 1
				got, err := k.Finish(changed)
				if err != nil {
					continue
				}
				if bytes.Equal(got.secret, honest.secret) {
					t.Errorf("byte %d of the answer does not matter", i)
				}
			}
			for i := 0; i < len(offer); i += step {
				changed := bytes.Clone(offer)
				changed[i] ^= 1
				p, err := ParsePublic(changed, a.Hybrid())
				if err != nil {
					continue
				}
				_, got, err := p.Respond(seeded(2))
				if err == nil && bytes.Equal(got.secret, honest.secret) && got.salt == honest.salt {
					t.Errorf("byte %d of the offer does not matter", i)
				}
			}
		})
	}
}

// Keys that would give a known secret, or bits of ours.
func TestBadKeys(t *testing.T) {
	v := ffdhe2048.values()
	for name, c := range map[string]struct {
		a       Algorithm
		content []byte
		raw     bool
	}{
		"X25519 zero":       {X25519, append([]byte(derX25519), make([]byte, 32)...), false},
		"X25519 one":        {X25519, append([]byte(derX25519), append([]byte{1}, make([]byte, 31)...)...), false},
		"X448 zero":         {X448, append([]byte(derX448), make([]byte, 56)...), false},
		"X448 one":          {X448, append([]byte(derX448), append([]byte{1}, make([]byte, 55)...)...), false},
		"P-256 infinity":    {Prime256v1, []byte(derP256 + "\x00"), false},
		"P-256 off curve":   {Prime256v1, append([]byte(derP256), append([]byte{4}, count(1, 64)...)...), false},
		"P-384 off curve":   {Secp384r1, append([]byte(derP384), append([]byte{4}, count(1, 96)...)...), false},
		"P-521 off curve":   {Secp521r1, append([]byte(derP521), append([]byte{4}, make([]byte, 132)...)...), false},
		"P-256 compressed":  {Prime256v1, append([]byte(derP256), elliptic.MarshalCompressed(elliptic.P256(), elliptic.P256().Params().Gx, elliptic.P256().Params().Gy)...), false},
		"FFDHE 0":           {FFDHE2048, ffdhe2048.encode(new(big.Int)), false},
		"FFDHE 1":           {FFDHE2048, ffdhe2048.encode(big.NewInt(1)), false},
		"FFDHE -1":          {FFDHE2048, ffdhe2048.encode(big.NewInt(-1)), false},
		"FFDHE p-1":         {FFDHE2048, ffdhe2048.encode(v.pMinus1), false},
		"FFDHE p":           {FFDHE2048, ffdhe2048.encode(v.p), false},
		"FFDHE p+2":         {FFDHE2048, ffdhe2048.encode(new(big.Int).Add(v.p, two)), false},
		"FFDHE p-2":         {FFDHE2048, ffdhe2048.encode(new(big.Int).Sub(v.p, two)), false}, // no square
		"ML-KEM not modq":   {MLKEM768, append([]byte(derMLKEM768), bytes.Repeat([]byte{0xff}, 1184)...), false},
		"hybrid not modq":   {X25519MLKEM768, bytes.Repeat([]byte{0xff}, 1216), true},
		"hybrid zero point": {X25519MLKEM768, make([]byte, 1216), true},
		"hybrid X448 zero":  {X448MLKEM1024, make([]byte, 1624), true},
		"other group":       {0, otherGroup(), false},
		"RSA":               {0, rsaKey(t), false},
		"empty":             {0, nil, false},
		"empty raw":         {0, nil, true},
	} {
		p, err := ParsePublic(c.content, c.raw)
		if err == nil {
			_, _, err = p.Respond(seeded(1))
		}
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		if c.a == 0 != errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		if c.a == 0 || c.a.KEM() {
			continue
		}
		k, err := Generate(c.a, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Finish(c.content); err == nil {
			t.Errorf("%s: taken as answer", name)
		}
	}
}

// An answer of another algorithm is none.
func TestMixedAlgorithms(t *testing.T) {
	answers := make(map[string][]byte)
	for _, name := range Names() {
		a, _ := ByName(name)
		_, answers[name], _, _ = exchange(t, a, seeded(1), seeded(2))
	}
	for _, name := range Names() {
		a, _ := ByName(name)
		k, err := Generate(a, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		for other, answer := range answers {
			if _, err := k.Finish(answer); (err == nil) != (other == name) {
				t.Errorf("%s takes the answer of %s: %v", name, other, err)
			}
		}
	}
}

// otherGroup is a DH key in a group that is none of RFC 7919.
func otherGroup() []byte {
	p, _ := new(big.Int).SetString(prime2048, 16)
	f := newFiniteField(new(big.Int).Sub(p, two).Text(16), 32)
	return f.encode(big.NewInt(4))
}

func rsaKey(t *testing.T) []byte {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return b
}
