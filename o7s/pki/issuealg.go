// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"

	"o7gw/o7s/oap/digest"
)

// signatureAlgorithm returns the identifier of the signatures in certificates
// that a key makes, and the digest for Sign.
func signatureAlgorithm(pub crypto.PublicKey) (algorithmID, uint16, error) {
	ecdsaWith := func(last int, md uint16) (algorithmID, uint16, error) {
		return algorithmID{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, last}}, md, nil
	}
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return algorithmID{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}, digest.SHA256, nil
	case *ecdsa.PublicKey:
		switch bits := key.Curve.Params().BitSize; {
		case bits > 384:
			return ecdsaWith(4, digest.SHA512)
		case bits > 256:
			return ecdsaWith(3, digest.SHA384)
		}
		return ecdsaWith(2, digest.SHA256)
	case ed25519.PublicKey:
		return algorithmID{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 112}}, 0, nil
	}
	if oid, ok := postQuantum(pub); ok {
		return algorithmID{Algorithm: oid}, 0, nil
	}
	return algorithmID{}, 0, fmt.Errorf("keys of type %T cannot sign certificates", pub)
}
