// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto/rand"
	"testing"
)

// BenchmarkVerify is what a flow pays for the certificate of its peer: the
// first time, and when it is remembered.
func BenchmarkVerify(b *testing.B) {
	ca := newCA(b, "p256", "ca")
	leaf := newLeaf(b, ca, "p256", "x")
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := NewStore(certs(ca), nil).Verify(day, leaf.Cert); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		s := NewStore(certs(ca), nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Verify(day, leaf.Cert); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSignatures is the rest: one signature made and one checked.
func BenchmarkSignatures(b *testing.B) {
	msg := make([]byte, 600)
	for _, alg := range []string{"p256", "ed25519", "rsa2048", "ml-dsa-44", "ml-dsa-65", "slh-dsa-sha2-128f"} {
		ca := newCA(b, alg, "x")
		sig, err := Sign(rand.Reader, ca.Key, 0, msg)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg+"/sign", func(b *testing.B) {
			for b.Loop() {
				if _, err := Sign(rand.Reader, ca.Key, 0, msg); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/check", func(b *testing.B) {
			for b.Loop() {
				if err := CheckSignature(ca.Leaf, 0, msg, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
