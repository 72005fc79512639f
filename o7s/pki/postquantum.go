// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// Keys and signatures of ML-DSA (RFC 9881) and SLH-DSA (RFC 9909), which
// crypto/x509 does not know. One identifier stands for the key and for its
// signatures, never with parameters.

type algorithmID = pkix.AlgorithmIdentifier

// postQuantumOID returns an identifier of the arc that all share.
func postQuantumOID(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, last}
}

// lastArc returns the last number of such an identifier.
func lastArc(oid asn1.ObjectIdentifier) (last int, ok bool) {
	n := len(oid) - 1
	if n < 0 || !oid.Equal(postQuantumOID(oid[n])) {
		return 0, false
	}
	return oid[n], true
}

const (
	mldsa44 = 17 // last numbers of the identifiers, the other two follow
	slhSHA2 = 20 // the last of twelve is 31
)

// slhdsaIDs stand in the order of their identifiers.
var slhdsaIDs = [...]slhdsa.ID{
	slhdsa.SHA2_128s, slhdsa.SHA2_128f, slhdsa.SHA2_192s, slhdsa.SHA2_192f, slhdsa.SHA2_256s, slhdsa.SHA2_256f,
	slhdsa.SHAKE_128s, slhdsa.SHAKE_128f, slhdsa.SHAKE_192s, slhdsa.SHAKE_192f, slhdsa.SHAKE_256s, slhdsa.SHAKE_256f,
}

func mldsaParameters() []mldsa.Parameters {
	return []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87()}
}

func mldsaByOID(oid asn1.ObjectIdentifier) (p mldsa.Parameters, ok bool) {
	last, ok := lastArc(oid)
	if !ok || last < mldsa44 || last > mldsa44+2 {
		return p, false
	}
	return mldsaParameters()[last-mldsa44], true
}

func slhdsaByOID(oid asn1.ObjectIdentifier) (slhdsa.ID, bool) {
	last, ok := lastArc(oid)
	if !ok || last < slhSHA2 || last >= slhSHA2+len(slhdsaIDs) {
		return 0, false
	}
	return slhdsaIDs[last-slhSHA2], true
}

// postQuantum returns the identifier of a key of this file.
func postQuantum(pub crypto.PublicKey) (oid asn1.ObjectIdentifier, ok bool) {
	switch pub := pub.(type) {
	case *mldsa.PublicKey:
		return postQuantumOID(mldsa44 + slices.Index(mldsaParameters(), pub.Parameters())), true
	case slhdsa.PublicKey:
		return postQuantumOID(slhSHA2 + slices.Index(slhdsaIDs[:], pub.ID)), true
	}
	return nil, false
}

// spki is a SubjectPublicKeyInfo.
type spki struct {
	Algorithm algorithmID
	Key       asn1.BitString
}

// parsePublic reads a SubjectPublicKeyInfo of any algorithm.
func parsePublic(der []byte) (crypto.PublicKey, error) {
	var s spki
	if rest, err := asn1.Unmarshal(der, &s); err != nil || len(rest) > 0 {
		return nil, errors.New("malformed public key")
	}
	id, ok := slhdsaByOID(s.Algorithm.Algorithm)
	if !ok {
		pub, err := mldsax509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, errors.New("a public key of an algorithm that is not supported: " + s.Algorithm.Algorithm.String())
		}
		return pub, nil
	}
	pub := slhdsa.PublicKey{ID: id}
	if len(s.Algorithm.Parameters.FullBytes) != 0 || s.Key.BitLength%8 != 0 || pub.UnmarshalBinary(s.Key.Bytes) != nil {
		return nil, errors.New("malformed SLH-DSA public key")
	}
	return pub, nil
}

// marshalPublic returns the SubjectPublicKeyInfo of a key.
func marshalPublic(pub crypto.PublicKey) ([]byte, error) {
	key, ok := pub.(slhdsa.PublicKey)
	if !ok {
		return mldsax509.MarshalPKIXPublicKey(pub)
	}
	oid, _ := postQuantum(key)
	content, err := key.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(spki{algorithmID{Algorithm: oid}, asn1.BitString{Bytes: content, BitLength: 8 * len(content)}})
}

// marshalSLHDSA returns the PKCS #8 form of a private key: its bare bytes.
func marshalSLHDSA(key slhdsa.PrivateKey) ([]byte, error) {
	oid, ok := postQuantum(key.PublicKey())
	if !ok {
		return nil, errors.New("unknown SLH-DSA key")
	}
	content, err := key.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pkcs8{Algorithm: algorithmID{Algorithm: oid}, PrivateKey: content})
}
