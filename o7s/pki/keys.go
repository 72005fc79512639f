// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// PublicKey returns the key of a certificate. The standard library leaves out
// the ones it does not know.
func PublicKey(cert *x509.Certificate) (crypto.PublicKey, error) {
	if cert.PublicKey != nil {
		return cert.PublicKey, nil
	}
	return parsePublic(cert.RawSubjectPublicKeyInfo)
}

// ParseKey reads an unencrypted private key in PEM: PKCS #8, or the older
// forms of RSA and EC keys. Other blocks in front of it, such as EC
// parameters, do not matter.
func ParseKey(file []byte) (crypto.Signer, error) {
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return nil, errors.New("parse private key: no private key in PEM")
		}
		file = rest
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("parse private key: it is encrypted; remove the pass phrase with \"openssl pkey\"")
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = parsePKCS8(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		clear(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse private key: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("parse private key: a key of type %T cannot sign", key)
		}
		return signer, nil
	}
}

// MarshalKey returns the PEM (PKCS #8) of a private key.
func MarshalKey(key crypto.Signer) ([]byte, error) {
	var der []byte
	var err error
	if k, ok := key.(slhdsa.PrivateKey); ok {
		der, err = marshalSLHDSA(k)
	} else {
		der, err = mldsax509.MarshalPKCS8PrivateKey(key)
	}
	if err != nil {
		return nil, fmt.Errorf("marshal private key: %w", err)
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// pkcs8 is the outer structure of a private key (RFC 5208); attributes behind
// it are ignored.
type pkcs8 struct {
	Version    int
	Algorithm  algorithmID
	PrivateKey []byte
}

func parsePKCS8(der []byte) (any, error) {
	var p pkcs8
	if _, err := asn1.Unmarshal(der, &p); err != nil {
		return x509.ParsePKCS8PrivateKey(der)
	}
	id, known := slhdsaByOID(p.Algorithm.Algorithm)
	params, lattice := mldsaByOID(p.Algorithm.Algorithm)
	switch {
	case !known && !lattice:
		return x509.ParsePKCS8PrivateKey(der)
	case len(p.Algorithm.Parameters.FullBytes) != 0:
		return nil, errors.New("parameters where none belong")
	case lattice:
		return parseMLDSA(params, p.PrivateKey)
	}
	key := slhdsa.PrivateKey{ID: id}
	if err := key.UnmarshalBinary(p.PrivateKey); err != nil {
		return nil, err
	}
	return key, nil
}

// parseMLDSA reads one of the three forms of RFC 9881 §6: a seed, an expanded
// key, or both, which OpenSSL writes.
func parseMLDSA(params mldsa.Parameters, content []byte) (*mldsa.PrivateKey, error) {
	var value asn1.RawValue
	if rest, err := asn1.Unmarshal(content, &value); err != nil || len(rest) > 0 {
		return nil, errors.New("malformed ML-DSA private key")
	}
	seed := value.Bytes
	switch {
	case value.Class == asn1.ClassContextSpecific && value.Tag == 0 && !value.IsCompound:
	case value.Class == asn1.ClassUniversal && value.Tag == asn1.TagSequence:
		var both struct{ Seed, Expanded []byte }
		if rest, err := asn1.Unmarshal(content, &both); err != nil || len(rest) > 0 {
			return nil, errors.New("malformed ML-DSA private key")
		}
		seed = both.Seed
	default:
		return nil, errors.New("an expanded ML-DSA key without its seed is not supported; write it with \"-provparam ml-dsa.output_formats=seed-only\"")
	}
	return mldsa.NewPrivateKey(params, seed)
}

// sameKey reports whether two public keys are the same.
func sameKey(a, b crypto.PublicKey) bool {
	x, err := marshalPublic(a)
	if err != nil {
		return false
	}
	y, err := marshalPublic(b)
	return err == nil && bytes.Equal(x, y)
}
