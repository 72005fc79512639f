// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"o7gw/o7s/oap/digest"
)

var allDigests = []uint16{0, digest.SHA256, digest.SHA384, digest.SHA512, digest.SHA3_256, digest.SHA3_384, digest.SHA3_512,
	digest.BLAKE2s256, digest.BLAKE2b512}

// slow reports whether a kind of key takes a second or more to make and sign.
func slow(algorithm string) bool {
	return algorithm == "rsa4096" ||
		strings.HasPrefix(algorithm, "slh-dsa") && !slices.Contains([]string{"slh-dsa-sha2-128f", "slh-dsa-shake-128f"}, algorithm)
}

// TestSignatures signs with every kind of key and every digest, under a CA with
// the same kind of key.
func TestSignatures(t *testing.T) {
	msg := []byte("a request to allocate a flow")
	for _, alg := range Algorithms() {
		t.Run(alg, func(t *testing.T) {
			if slow(alg) {
				t.Skip("slow; the others of its family differ in sizes only")
			}
			ca := newCA(t, alg, "authority")
			leaf := newLeaf(t, ca, alg, "server")
			if _, err := NewStore(nil, nil).Verify(day, leaf.Cert); err == nil {
				t.Fatal("a certificate of an unknown authority verified")
			}
			cert, err := NewStore(certs(ca), nil).Verify(day, leaf.Cert)
			if err != nil {
				t.Fatal(err)
			}
			if pub, err := PublicKey(cert); err != nil || AlgorithmOf(pub) != alg {
				t.Fatalf("the certificate has a key of kind %v, %v", AlgorithmOf(pub), err)
			}
			digests := allDigests
			if strings.HasPrefix(alg, "slh-dsa") || alg == "rsa3072" {
				digests = allDigests[:2]
			}
			for _, md := range digests {
				sig, err := Sign(rand.Reader, leaf.Key, md, msg)
				if alg == "ed25519" && md != 0 || strings.HasPrefix(alg, "rsa") && (md == digest.BLAKE2s256 || md == digest.BLAKE2b512) {
					if err == nil {
						t.Errorf("%s signed with digest %d", alg, md)
					}
					continue
				}
				if err != nil {
					t.Errorf("sign with digest %d: %v", md, err)
					continue
				}
				if err := CheckSignature(cert, md, msg, sig); err != nil {
					t.Errorf("digest %d: %v", md, err)
				}
				if err := CheckSignature(cert, md, msg[1:], sig); !errors.Is(err, ErrSignature) {
					t.Errorf("digest %d, another message: %v", md, err)
				}
				sig[len(sig)/2] ^= 1
				if err := CheckSignature(cert, md, msg, sig); !errors.Is(err, ErrSignature) {
					t.Errorf("digest %d, another signature: %v", md, err)
				}
				for _, sig := range [][]byte{nil, sig[:1], sig[:len(sig)-1], append(sig, 0)} {
					if err := CheckSignature(cert, md, msg, sig); !errors.Is(err, ErrSignature) {
						t.Errorf("digest %d, signature of %d bytes: %v", md, len(sig), err)
					}
				}
			}
		})
	}
}

// TestDigestMatters: a signature holds with one digest only.
func TestDigestMatters(t *testing.T) {
	leaf := newCA(t, "p256", "x")
	sig, err := Sign(rand.Reader, leaf.Key, digest.SHA512, []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	for _, md := range append(allDigests, 1, 65535) {
		if err := CheckSignature(leaf.Leaf, md, []byte("m"), sig); (err == nil) != (md == digest.SHA512) {
			t.Errorf("digest %d: %v", md, err)
		}
	}
	if _, err := Sign(rand.Reader, leaf.Key, 64, []byte("m")); err == nil {
		t.Error("signed with SHA-1")
	}
}
