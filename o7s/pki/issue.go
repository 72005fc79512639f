// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"
)

// maxName is the longest name of a flow's destination in bytes.
const maxName = 255

var (
	errIssuer = errors.New("the certificate to issue with is none of a CA")
	errName   = fmt.Errorf("the common name must be UTF-8 of 1 to %d bytes without a zero byte", maxName)
	errDates  = errors.New("the certificate would be valid for no time at all; has that of the CA ended?")
)

// NewCA makes a certificate authority: a self-signed certificate of a key.
func NewCA(random io.Reader, key crypto.Signer, name string, from, until time.Time) (*Credentials, error) {
	t := template{name: name, pub: key.Public(), from: from, until: until, ca: true, signer: key}
	cert, err := t.issue(random)
	if err != nil {
		return nil, fmt.Errorf("make CA certificate: %w", err)
	}
	return &Credentials{Cert: cert.Raw, Leaf: cert, Key: key}, nil
}

// Issue makes a leaf certificate that binds a name to a public key. It ends
// with that of the CA at the latest.
func Issue(random io.Reader, ca *Credentials, pub crypto.PublicKey, name string, from, until time.Time) (*x509.Certificate, error) {
	if !ca.Leaf.BasicConstraintsValid || !ca.Leaf.IsCA {
		return nil, fmt.Errorf("issue certificate: %w", errIssuer)
	}
	if until.After(ca.Leaf.NotAfter) {
		until = ca.Leaf.NotAfter
	}
	if from.Before(ca.Leaf.NotBefore) {
		from = ca.Leaf.NotBefore
	}
	t := template{name: name, pub: pub, from: from, until: until, issuer: ca.Leaf, signer: ca.Key}
	cert, err := t.issue(random)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return cert, nil
}

// template is what a certificate is to say.
type template struct {
	name        string
	pub         crypto.PublicKey
	from, until time.Time
	ca          bool
	issuer      *x509.Certificate // nil: self-signed
	signer      crypto.Signer
}

// tbsCertificate is a certificate without its signature (RFC 5280 §4.1).
// crypto/x509 cannot make one for the keys it does not know.
type tbsCertificate struct {
	Version    int `asn1:"explicit,tag:0"`
	Serial     *big.Int
	Algorithm  algorithmID
	Issuer     asn1.RawValue
	Validity   struct{ From, Until time.Time }
	Subject    asn1.RawValue
	Key        asn1.RawValue
	Extensions []pkix.Extension `asn1:"explicit,tag:3"`
}

type signedCertificate struct {
	TBS       asn1.RawValue
	Algorithm algorithmID
	Signature asn1.BitString
}

func (t *template) issue(random io.Reader) (*x509.Certificate, error) {
	if t.name == "" || len(t.name) > maxName || !utf8.ValidString(t.name) || strings.ContainsRune(t.name, 0) {
		return nil, errName
	}
	public, err := marshalPublic(t.pub)
	if err != nil {
		return nil, err
	}
	extensions, err := t.extensions(public)
	if err != nil {
		return nil, err
	}
	der, err := t.sign(random, public, extensions)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	parent := t.issuer
	if parent == nil {
		parent = cert
	}
	if err := checkIssued(cert, parent); err != nil { // the signer may have another key than the issuer
		return nil, err
	}
	return cert, nil
}

// sign makes the certificate of a public key, DER.
func (t *template) sign(random io.Reader, public []byte, extensions []pkix.Extension) ([]byte, error) {
	from, until := t.from.UTC().Truncate(time.Second), t.until.UTC().Truncate(time.Second)
	if !from.Before(until) {
		return nil, errDates
	}
	subject, err := asn1.Marshal(pkix.Name{CommonName: t.name}.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	issuer := subject
	if t.issuer != nil {
		issuer = t.issuer.RawSubject
	}
	algorithm, md, err := signatureAlgorithm(t.signer.Public())
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 20) // at most 20 bytes, positive (RFC 5280 §4.1.2.2)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40
	body := tbsCertificate{
		Version: 2, Serial: new(big.Int).SetBytes(serial), Algorithm: algorithm,
		Issuer: asn1.RawValue{FullBytes: issuer}, Subject: asn1.RawValue{FullBytes: subject},
		Key: asn1.RawValue{FullBytes: public}, Extensions: extensions,
	}
	body.Validity.From, body.Validity.Until = from, until
	tbs, err := asn1.Marshal(body)
	if err != nil {
		return nil, err
	}
	sig, err := Sign(random, t.signer, md, tbs)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(signedCertificate{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
}

// extensions says what the key may be used for, and which keys are meant.
func (t *template) extensions(public []byte) ([]pkix.Extension, error) {
	var err error
	marshal := func(v any) []byte {
		der, e := asn1.Marshal(v)
		err = errors.Join(err, e)
		return der
	}
	constraints := struct {
		CA bool `asn1:"optional"`
	}{t.ca}
	usage := asn1.BitString{Bytes: []byte{0x80}, BitLength: 1} // digitalSignature
	if t.ca {
		usage = asn1.BitString{Bytes: []byte{0x06}, BitLength: 7} // keyCertSign, cRLSign
	}
	id := sha256.Sum256(public)
	own := id[:20]
	authority := own
	if t.issuer != nil {
		authority = t.issuer.SubjectKeyId
	}
	list := []pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: marshal(constraints)},
		{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: marshal(usage)},
		{Id: asn1.ObjectIdentifier{2, 5, 29, 14}, Value: marshal(own)},
	}
	if len(authority) > 0 {
		list = append(list, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: marshal(struct {
			Key []byte `asn1:"optional,tag:0"`
		}{authority})})
	}
	return list, err
}
