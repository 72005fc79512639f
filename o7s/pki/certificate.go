// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParseCertificate reads the first certificate of a PEM file; the prototype
// takes only that one, too.
func ParseCertificate(file []byte) (*x509.Certificate, error) {
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return nil, errors.New("parse certificate: no certificate in PEM")
		}
		file = rest
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("parse certificate: %w", err)
			}
			return cert, nil
		}
	}
}

// MarshalCertificate returns the PEM of a certificate.
func MarshalCertificate(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// signatureOID returns the identifier of the algorithm that a certificate was
// signed with, which crypto/x509 keeps to itself if it does not know it.
func signatureOID(cert *x509.Certificate) asn1.ObjectIdentifier {
	var outer struct {
		TBS       asn1.RawValue
		Algorithm algorithmID
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Raw, &outer); err != nil || len(outer.Algorithm.Parameters.FullBytes) > 0 {
		return nil
	}
	return outer.Algorithm.Algorithm
}

// signedPostQuantum reports whether a certificate has a signature that
// crypto/x509 cannot check and this package can.
func signedPostQuantum(cert *x509.Certificate) bool {
	if cert.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		return false
	}
	oid := signatureOID(cert)
	_, lattice := mldsaByOID(oid)
	_, hash := slhdsaByOID(oid)
	return lattice || hash
}

// checkIssued tests the signature of a certificate with the key of another.
func checkIssued(cert, issuer *x509.Certificate) error {
	if !signedPostQuantum(cert) {
		return cert.CheckSignatureFrom(issuer)
	}
	pub, err := PublicKey(issuer)
	if err != nil {
		return err
	}
	if oid, ok := postQuantum(pub); !ok || !oid.Equal(signatureOID(cert)) {
		return errors.New("signed with another kind of key than its issuer has")
	}
	return check(pub, 0, cert.RawTBSCertificate, cert.Signature)
}

// SelfSigned reports whether a certificate is signed with its own key, as
// those at the end of every chain are.
func SelfSigned(cert *x509.Certificate) bool {
	if !bytes.Equal(cert.RawSubject, cert.RawIssuer) {
		return false
	}
	if signedPostQuantum(cert) {
		return checkIssued(cert, cert) == nil
	}
	// CheckSignatureFrom would insist on the CA flag, which is another question.
	return cert.PublicKey != nil && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// SignatureAlgorithm names what a certificate was signed with.
func SignatureAlgorithm(cert *x509.Certificate) string {
	if !signedPostQuantum(cert) {
		return cert.SignatureAlgorithm.String()
	}
	oid := signatureOID(cert)
	if p, ok := mldsaByOID(oid); ok {
		return p.String()
	}
	id, _ := slhdsaByOID(oid)
	return id.String()
}
