// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"

	"o7gw/o7s/oap/digest"
)

// hashes are the names that crypto/rsa knows the digests by, and whether there
// is an encoding of them in PKCS #1 v1.5 signatures.
var hashes = map[uint16]struct {
	id  crypto.Hash
	rsa bool
}{
	digest.SHA256: {crypto.SHA256, true}, digest.SHA384: {crypto.SHA384, true}, digest.SHA512: {crypto.SHA512, true},
	digest.SHA3_256: {crypto.SHA3_256, true}, digest.SHA3_384: {crypto.SHA3_384, true}, digest.SHA3_512: {crypto.SHA3_512, true},
	digest.BLAKE2s256: {crypto.BLAKE2s_256, false}, digest.BLAKE2b512: {crypto.BLAKE2b_512, false},
}

// ErrSignature says that a signature is not one of this message with this key.
var ErrSignature = errors.New("the signature does not fit message and key")

// sum returns the digest of a message that RSA and ECDSA keys sign; md 0 is
// SHA-256, the default of OpenSSL.
func sum(md uint16, msg []byte, forRSA bool) ([]byte, crypto.Hash, error) {
	if md == 0 {
		md = digest.SHA256
	}
	h, known := hashes[md]
	switch {
	case !known:
		return nil, 0, fmt.Errorf("there is no digest %d", md)
	case forRSA && !h.rsa:
		return nil, 0, fmt.Errorf("RSA keys cannot sign with %s: choose another digest, or an EC key", digest.Name(md))
	}
	d := digest.New(md)
	d.Write(msg)
	return d.Sum(nil), h.id, nil
}

// errPure is for a digest that an Ed25519 signature cannot have: the prototype
// refuses it, so the number in the message must tell the truth (spec 30 OA-9).
var errPure = errors.New("Ed25519 keys sign without a digest: its number must be 0")

// Sign signs a message. md is the number of the digest in its header; 0 means
// SHA-256 for RSA and EC keys, and is all that Ed25519 can. ML-DSA and SLH-DSA
// do not look at it. Signatures of RSA are PKCS #1 v1.5, those of EC keys DER.
func Sign(random io.Reader, key crypto.Signer, md uint16, msg []byte) (sig []byte, err error) {
	switch pub := key.Public().(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		_, isRSA := pub.(*rsa.PublicKey)
		var hashed []byte
		var id crypto.Hash
		if hashed, id, err = sum(md, msg, isRSA); err == nil {
			sig, err = key.Sign(random, hashed, id)
		}
	case ed25519.PublicKey:
		if md != 0 {
			return nil, fmt.Errorf("sign: %w", errPure)
		}
		sig, err = key.Sign(random, msg, crypto.Hash(0))
	case *mldsa.PublicKey, slhdsa.PublicKey:
		sig, err = key.Sign(random, msg, crypto.Hash(0))
	default:
		return nil, fmt.Errorf("sign: keys of type %T are not supported", pub)
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig, nil
}

// CheckSignature tests the signature of a message with the key in a
// certificate. Errors are ErrSignature, or say why the key cannot have made it.
func CheckSignature(cert *x509.Certificate, md uint16, msg, sig []byte) error {
	pub, err := PublicKey(cert)
	if err == nil {
		err = check(pub, md, msg, sig)
	}
	if err != nil {
		return fmt.Errorf("check signature: %w", err)
	}
	return nil
}

func check(pub crypto.PublicKey, md uint16, msg, sig []byte) error {
	ok := false
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		hashed, id, err := sum(md, msg, true)
		if err != nil {
			return err
		}
		ok = rsa.VerifyPKCS1v15(pub, id, hashed, sig) == nil
	case *ecdsa.PublicKey:
		hashed, _, err := sum(md, msg, false)
		if err != nil {
			return err
		}
		ok = ecdsa.VerifyASN1(pub, hashed, sig)
	case ed25519.PublicKey:
		if md != 0 {
			return errPure
		}
		ok = ed25519.Verify(pub, msg, sig)
	case *mldsa.PublicKey:
		ok = mldsa.Verify(pub, msg, sig, nil) == nil
	case slhdsa.PublicKey:
		ok = slhdsa.Verify(&pub, slhdsa.NewMessage(msg), sig, nil)
	default:
		return fmt.Errorf("keys of type %T are not supported", pub)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}
