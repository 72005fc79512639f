// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzVerify feeds certificates of strangers to a store, as OAP does: what
// verifies must be one of ours. The store is the same in every process.
func FuzzVerify(f *testing.F) {
	var good [][]byte
	for _, file := range []string{"ca.pem", "auth.pem", "op.pem", "pq-ca.pem", "pq-leaf.pem"} {
		der := readCert(f, file).Raw
		good = append(good, der)
		f.Add(der, uint16(672), []byte{0x30, 0})
	}
	s := NewStore([]*x509.Certificate{readCert(f, "ca.pem"), readCert(f, "pq-ca.pem")}, nil)
	for _, der := range good {
		if _, err := s.Verify(day, der); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte, md uint16, sig []byte) {
		cert, err := s.Verify(day, der)
		if err != nil {
			return
		}
		known := false
		for _, g := range good {
			known = known || bytes.Equal(g, der)
		}
		if !known {
			t.Errorf("a certificate that nobody issued verified: %x", der)
		}
		if CheckSignature(cert, md, []byte("message"), sig) == nil {
			t.Errorf("a signature that nobody made is good: %x", sig)
		}
	})
}

// FuzzCertificate looks at certificates without trust, as users do, and has
// them issue.
func FuzzCertificate(f *testing.F) {
	for _, c := range []*Credentials{newCA(f, "p256", "ca"), newCA(f, "ml-dsa-44", "pq"), newCA(f, "slh-dsa-sha2-128f", "slh"), newCA(f, "rsa2048", "rsa")} {
		f.Add(MarshalCertificate(c.Leaf))
	}
	for _, file := range []string{"ca.pem", "auth.pem", "op.pem"} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		cert, err := ParseCertificate(file)
		if err != nil {
			return
		}
		Name(cert)
		SelfSigned(cert)
		SignatureAlgorithm(cert)
		if pub, err := PublicKey(cert); err == nil {
			AlgorithmOf(pub)
			check(pub, 672, nil, nil)
		}
		NewStore(nil, []*x509.Certificate{cert}).Verify(time.Now(), cert.Raw)
	})
}

// FuzzKey reads private keys; what it takes can sign, and is written as
// something it takes.
func FuzzKey(f *testing.F) {
	for _, alg := range []string{"p256", "ed25519", "ml-dsa-44", "slh-dsa-sha2-128f", "rsa2048"} {
		file, err := MarshalKey(newKey(f, alg))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		key, err := ParseKey(file)
		if err != nil {
			return
		}
		again, err := MarshalKey(key)
		if err != nil {
			return // such as a curve that nobody uses
		}
		if got, err := ParseKey(again); err != nil || !sameKey(got.Public(), key.Public()) {
			t.Errorf("written as\n%s%v", again, err)
		}
	})
}
