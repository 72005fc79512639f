// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto/x509"
	"testing"
)

func certs(list ...*Credentials) []*x509.Certificate {
	out := make([]*x509.Certificate, len(list))
	for i, c := range list {
		out[i] = c.Leaf
	}
	return out
}

// TestCapturePKI verifies the certificates that the prototypes of the captures
// had: leafs of version 1 without extensions.
func TestCapturePKI(t *testing.T) {
	s := NewStore([]*x509.Certificate{readCert(t, "ca.pem")}, nil)
	for _, name := range []string{"auth", "op"} {
		leaf := readCert(t, name+".pem")
		if leaf.Version != 1 || len(leaf.Extensions) > 0 {
			t.Fatalf("%s has version %d", name, leaf.Version)
		}
		got, err := s.Verify(day, leaf.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if Name(got) != name {
			t.Errorf("name %q, want %q", Name(got), name)
		}
	}
}
