// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"
)

// chain returns a chain from the leaf to a root. crypto/x509 builds it unless
// it stumbles over signatures that it does not know.
func (s *Store) chain(now time.Time, leaf *x509.Certificate) ([]*x509.Certificate, error) {
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: s.roots, Intermediates: s.between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	switch {
	case err == nil:
		return chains[0], nil
	case !s.postQuantum && !signedPostQuantum(leaf):
		return nil, err
	}
	b := builder{store: s, now: now, checks: maxChecks, err: err}
	if !b.extend([]*x509.Certificate{leaf}) {
		return nil, b.err
	}
	return b.found, nil
}

const (
	maxChain  = 8  // certificates, root included
	maxChecks = 64 // signatures checked for one leaf, whatever is in the store
)

// builder looks for a chain with at least one post-quantum signature. On all
// others the word of crypto/x509 is final.
type builder struct {
	store  *Store
	now    time.Time
	checks int // left
	found  []*x509.Certificate
	err    error // why the last try failed
}

var (
	errNoIssuer  = errors.New("no chain leads from its issuer to a CA certificate in cacert/")
	errCritical  = errors.New("the chain has a critical extension that is not supported together with post-quantum signatures")
	errNotCA     = errors.New("the issuer's certificate is none of a CA")
	errPathLen   = errors.New("more CAs in the chain than one of them allows")
	errTooLong   = errors.New("the chain is too long")
	errTooCostly = errors.New("too many CA certificates of the same name")
)

// extend completes a chain, of which the last certificate is yet to be judged.
func (b *builder) extend(chain []*x509.Certificate) bool {
	last := chain[len(chain)-1]
	if err := b.fit(last); err != nil {
		b.err = err
		return false
	}
	if b.store.isRoot[sha256.Sum256(last.Raw)] {
		if !slices.ContainsFunc(chain[:len(chain)-1], signedPostQuantum) {
			return false // crypto/x509 has said no, b.err tells why
		}
		b.found = chain
		return true
	}
	issuers := b.store.bySubject[string(last.RawIssuer)]
	switch {
	case len(issuers) == 0:
		b.err = errNoIssuer
	case len(chain) == maxChain:
		b.err = errTooLong
	default:
		return slices.ContainsFunc(issuers, func(issuer *x509.Certificate) bool {
			if err := b.issues(issuer, chain); err != nil {
				b.err = err
				return false
			}
			return b.extend(append(slices.Clip(chain), issuer))
		})
	}
	return false
}

// allowedCritical are the extensions that fit and issues understand, or that
// only restrict the use of a leaf (which nobody looks at, spec 30 §6.9).
var allowedCritical = []asn1.ObjectIdentifier{
	{2, 5, 29, 15}, // key usage
	{2, 5, 29, 17}, // alternative names
	{2, 5, 29, 19}, // basic constraints
	{2, 5, 29, 37}, // extended key usage
}

var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// fit tests what a certificate says of itself.
func (b *builder) fit(c *x509.Certificate) error {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidNameConstraints) || e.Critical && !slices.ContainsFunc(allowedCritical, e.Id.Equal) {
			return errCritical
		}
	}
	if b.now.Before(c.NotBefore) || b.now.After(c.NotAfter) {
		return x509.CertificateInvalidError{Cert: c, Reason: x509.Expired,
			Detail: "valid from " + c.NotBefore.UTC().Format(time.RFC3339) + " to " + c.NotAfter.UTC().Format(time.RFC3339)}
	}
	return nil
}

// issues tests whether a CA may have issued the last certificate of a chain,
// and did.
func (b *builder) issues(ca *x509.Certificate, chain []*x509.Certificate) error {
	if !ca.BasicConstraintsValid || !ca.IsCA || ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errNotCA
	}
	between := 0 // CAs below this one that count (RFC 5280 §4.2.1.9)
	for _, c := range chain[1:] {
		if c.Equal(ca) {
			return errNoIssuer // a circle
		}
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			between++
		}
	}
	if (ca.MaxPathLen > 0 || ca.MaxPathLenZero) && between > ca.MaxPathLen {
		return errPathLen
	}
	if b.checks--; b.checks < 0 {
		return errTooCostly
	}
	return checkIssued(chain[len(chain)-1], ca)
}
