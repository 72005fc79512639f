// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

func kems() []Algorithm {
	return []Algorithm{MLKEM512, MLKEM768, MLKEM1024, X25519MLKEM768, X448MLKEM1024}
}

// static makes the files of a server.
func static(t testing.TB, a Algorithm) (private, public []byte) {
	t.Helper()
	private, public, err := NewStatic(a, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// A client that knows the server's key from a file encapsulates to it.
func TestStatic(t *testing.T) {
	sizes := map[Algorithm][2]int{X25519MLKEM768: {2432, 1216}, X448MLKEM1024: {3224, 1624}}
	for _, a := range kems() {
		private, public := static(t, a)
		if size, hybrid := sizes[a]; hybrid && size != [2]int{len(private), len(public)} {
			t.Errorf("%v: files of %d and %d bytes, want %v", a, len(private), len(public), size)
		} else if !hybrid && (!bytes.HasPrefix(private, []byte("-----BEGIN PRIVATE KEY-----")) || !bytes.HasPrefix(public, []byte("-----BEGIN PUBLIC KEY-----"))) {
			t.Errorf("%v: files %.40q and %.40q", a, private, public)
		}
		p, err := ParseStaticPublic(public)
		if err != nil || p.Algorithm != a {
			t.Fatalf("%v: %v, %v", a, p, err)
		}
		k, err := ParseStaticKey(private)
		if err != nil || k.Algorithm != a {
			t.Fatalf("%v: %v", a, err)
		}
		ciphertext, there, err := p.Respond(seeded(2))
		if err != nil {
			t.Fatal(err)
		}
		here, err := k.Finish(ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(here.secret, there.secret) || here.salt != there.salt || here.info != infoKEM {
			t.Errorf("%v: secrets differ", a)
		}
	}
	if _, _, err := NewStatic(X25519, seeded(1)); err == nil {
		t.Error("static key of X25519")
	}
	for _, a := range kems() {
		if _, _, err := NewStatic(a, bytes.NewReader(count(1, 65))); err == nil && a.Hybrid() {
			t.Errorf("%v: static key from 65 bytes", a)
		}
		if _, _, err := NewStatic(a, bytes.NewReader(count(1, 16))); err == nil {
			t.Errorf("%v: static key from 16 bytes", a)
		}
	}
}

// pkcs8 wraps the inner part of a private key.
func pkcs8(a Algorithm, inner func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(a.oid()) })
		b.AddASN1(der.OCTET_STRING, inner)
	})
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: b.BytesOrPanic()})
}

// The three forms of RFC 9935 are the same key.
func TestPKCS8Forms(t *testing.T) {
	for _, a := range lattices {
		seed := count(7, 64)
		k, err := Generate(a, bytes.NewReader(seed))
		if err != nil {
			t.Fatal(err)
		}
		expanded, err := k.key.(*latticeKey).private.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(expanded)
		changed[0] ^= 1
		both := func(seed, expanded []byte) func(b *cryptobyte.Builder) {
			return func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(seed)
					b.AddASN1OctetString(expanded)
				})
			}
		}
		seedOnly := func(seed []byte) func(b *cryptobyte.Builder) {
			return func(b *cryptobyte.Builder) {
				b.AddASN1(tagSeed, func(b *cryptobyte.Builder) { b.AddBytes(seed) })
			}
		}
		for name, file := range map[string][]byte{
			"seed":     pkcs8(a, seedOnly(seed)),
			"expanded": pkcs8(a, func(b *cryptobyte.Builder) { b.AddASN1OctetString(expanded) }),
			"both":     pkcs8(a, both(seed, expanded)),
		} {
			got, err := ParseStaticKey(file)
			if err != nil {
				t.Errorf("%v, %s: %v", a, name, err)
			} else if got.Algorithm != a || !bytes.Equal(got.Public(), k.Public()) {
				t.Errorf("%v, %s: another key", a, name)
			}
		}
		for name, file := range map[string][]byte{
			"short seed":     pkcs8(a, seedOnly(seed[1:])),
			"empty seed":     pkcs8(a, seedOnly(nil)),
			"short expanded": pkcs8(a, func(b *cryptobyte.Builder) { b.AddASN1OctetString(expanded[1:]) }),
			"nothing":        pkcs8(a, func(b *cryptobyte.Builder) {}),
			"two differ":     pkcs8(a, both(seed, changed)),
			"trailing":       pkcs8(a, func(b *cryptobyte.Builder) { seedOnly(seed)(b); b.AddUint8(0) }),
			"other kind":     pkcs8(9000, seedOnly(seed)),
		} {
			if _, err := ParseStaticKey(file); err == nil {
				t.Errorf("%v, %s: taken", a, name)
			}
		}
	}
}

func TestStaticRefusals(t *testing.T) {
	private, public := static(t, MLKEM768)
	rawPrivate, rawPublic := static(t, X25519MLKEM768)
	damaged := bytes.Clone(rawPrivate)
	damaged[2400-40] ^= 1 // the hash of the public key within
	k, err := Generate(X25519, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"empty":           nil,
		"text":            []byte("no key\n"),
		"the private one": private,
		"other length":    rawPublic[1:],
		"raw private":     rawPrivate,
		"no KEM":          pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: k.Public()}),
	} {
		if p, err := ParseStaticPublic(file); err == nil {
			t.Errorf("public, %s: taken as %v", name, p.Algorithm)
		} else if name != "the private one" && !errors.Is(err, errStatic) {
			t.Errorf("public, %s: %v", name, err)
		}
	}
	for name, file := range map[string][]byte{
		"empty":          nil,
		"text":           []byte("no key\n"),
		"the public one": public,
		"other length":   rawPrivate[1:],
		"raw public":     rawPublic,
		"damaged":        damaged,
		"rubbish in PEM": pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: []byte("rubbish")}),
	} {
		k, err := ParseStaticKey(file)
		if err == nil {
			t.Errorf("private, %s: taken as %v", name, k.Algorithm)
		} else if strings.Contains(err.Error(), string(file)) && len(file) > 0 {
			t.Errorf("private, %s: the error shows the file", name)
		}
	}
}
