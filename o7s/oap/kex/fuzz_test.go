// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// small returns the algorithms whose keys make a small corpus; the others have
// the same parsers.
func small() []Algorithm {
	return []Algorithm{X25519, Prime256v1, X448, Secp521r1, FFDHE2048, MLKEM512}
}

// Whatever a client offers: it is refused, or answered with a secret that is
// not empty.
func FuzzPublic(f *testing.F) {
	for _, a := range append(small(), X25519MLKEM768) {
		k, err := Generate(a, seeded(1))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.Public(), a.Hybrid())
	}
	f.Fuzz(func(t *testing.T, content []byte, raw bool) {
		p, err := ParsePublic(content, raw)
		if err != nil {
			return
		}
		if p.Algorithm.Hybrid() != raw {
			t.Fatalf("%v with raw = %v", p.Algorithm, raw)
		}
		answer, s, err := p.Respond(seeded(2))
		if err != nil {
			return
		}
		if len(answer) == 0 || len(s.secret) == 0 || bytes.Equal(s.secret, make([]byte, len(s.secret))) {
			t.Fatalf("%v: answer of %d, secret of %d bytes", p.Algorithm, len(answer), len(s.secret))
		}
	})
}

// Whatever a server answers, to each algorithm.
func FuzzFinish(f *testing.F) {
	keys := make([]*Key, len(algorithms))
	for i := range algorithms {
		k, err := Generate(algorithms[i].number, seeded(1))
		if err != nil {
			f.Fatal(err)
		}
		keys[i] = k
	}
	for _, a := range append(small(), X25519MLKEM768) {
		p, err := ParsePublic(keys[a.Rank()-1].Public(), a.Hybrid())
		if err != nil {
			f.Fatal(err)
		}
		answer, _, err := p.Respond(seeded(2))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(a.Rank()-1), answer)
	}
	f.Fuzz(func(t *testing.T, which uint8, answer []byte) {
		k := keys[int(which)%len(keys)]
		s, err := k.Finish(answer)
		if err != nil {
			return
		}
		if len(s.secret) == 0 || bytes.Equal(s.secret, make([]byte, len(s.secret))) {
			t.Fatalf("%v: secret of %d bytes", k.Algorithm, len(s.secret))
		}
	})
}

// Whatever lies in the files of static keys.
func FuzzStatic(f *testing.F) {
	for _, a := range []Algorithm{MLKEM512, X25519MLKEM768} {
		private, public := static(f, a)
		f.Add(private)
		f.Add(public)
	}
	f.Add(pkcs8(MLKEM768, func(b *cryptobyte.Builder) {
		b.AddASN1(tagSeed, func(b *cryptobyte.Builder) { b.AddBytes(count(1, 64)) })
	}))
	f.Fuzz(func(t *testing.T, file []byte) {
		if k, err := ParseStaticKey(file); err == nil && (!k.Algorithm.KEM() || len(k.Public()) < 800) {
			t.Fatalf("static key of %v, public key of %d bytes", k.Algorithm, len(k.Public()))
		}
		if p, err := ParseStaticPublic(file); err == nil && !p.Algorithm.KEM() {
			t.Fatalf("static key of %v", p.Algorithm)
		}
	})
}
