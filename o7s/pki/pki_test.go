// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// day is within the validity of all test certificates.
var day = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB, algorithm string) crypto.Signer {
	t.Helper()
	key, err := GenerateKey(rand.Reader, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newCA returns an authority that is valid for ten days around day.
func newCA(t testing.TB, algorithm, name string) *Credentials {
	t.Helper()
	ca, err := NewCA(rand.Reader, newKey(t, algorithm), name, day.AddDate(0, 0, -5), day.AddDate(0, 0, 5))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// newLeaf returns credentials that are valid for two days around day.
func newLeaf(t testing.TB, ca *Credentials, algorithm, name string) *Credentials {
	t.Helper()
	key := newKey(t, algorithm)
	cert, err := Issue(rand.Reader, ca, key.Public(), name, day.AddDate(0, 0, -1), day.AddDate(0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	return &Credentials{Cert: cert.Raw, Leaf: cert, Key: key}
}

func readCert(t testing.TB, file string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ParseCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
