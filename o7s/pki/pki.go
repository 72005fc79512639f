// SPDX-License-Identifier: BSD-3-Clause

// Package pki is the authentication of the Ouroboros Allocation Protocol
// (spec 30 §6.9): certificates that name a service or a user, the chain that
// makes them trustworthy, and signatures with their keys. It has what a small
// certificate authority needs too.
//
// Keys: RSA (PKCS #1 v1.5), ECDSA (P-224 to P-521), Ed25519, ML-DSA (FIPS 204,
// certificates of RFC 9881) and SLH-DSA (FIPS 205, RFC 9909).
//
// A peer that verifies starts with LoadStore and Store.Verify, one that signs
// with LoadCredentials and Sign, a certificate authority with NewCA.
// Only the Load functions and ReadFile look at files.
package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
)

// Credentials are what one end shows and signs with. They may be used by many
// goroutines and are not to be changed.
type Credentials struct {
	Cert []byte            // leaf, DER: what is sent
	Leaf *x509.Certificate // the same, parsed
	Key  crypto.Signer
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// Name returns the name that a certificate speaks for: its common name. It is
// empty if there is none, and also if there are several, of which different
// programs would take different ones (spec 30 OA-5). Alternative names do not
// count, since the prototype does not look at them.
func Name(cert *x509.Certificate) string {
	var name string
	for _, attr := range cert.Subject.Names {
		if !attr.Type.Equal(oidCommonName) {
			continue
		}
		text, ok := attr.Value.(string)
		if !ok || name != "" {
			return ""
		}
		name = text
	}
	return name
}
