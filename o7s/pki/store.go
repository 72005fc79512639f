// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxVerified is the number of leafs that a store remembers to have verified.
// Only certificates that verify get there, so a stranger cannot fill it.
const maxVerified = 1024

// Store is a set of certificate authorities. It never changes; a new one takes
// its place, which also forgets what was verified. Any number of goroutines
// may use it.
type Store struct {
	roots, between *x509.CertPool
	isRoot         map[fingerprint]bool
	bySubject      map[string][]*x509.Certificate // roots and intermediates
	postQuantum    bool                           // some have a key or signature unknown to crypto/x509
	size           int

	mu       sync.Mutex
	verified map[fingerprint]verdict
	order    []fingerprint // of verified, a ring once it is full
	oldest   int
}

type fingerprint [sha256.Size]byte

// verdict is a certificate that verified, and the time for which every
// certificate of its chain is valid.
type verdict struct {
	cert        *x509.Certificate
	from, until time.Time
}

func (v *verdict) covers(now time.Time) bool { return !now.Before(v.from) && !now.After(v.until) }

// NewStore returns a store that trusts roots, and builds chains to them with
// the help of the intermediates.
func NewStore(roots, intermediates []*x509.Certificate) *Store {
	s := &Store{
		roots: x509.NewCertPool(), between: x509.NewCertPool(),
		isRoot: map[fingerprint]bool{}, bySubject: map[string][]*x509.Certificate{},
		verified: map[fingerprint]verdict{},
	}
	add := func(c *x509.Certificate) {
		s.bySubject[string(c.RawSubject)] = append(s.bySubject[string(c.RawSubject)], c)
		s.postQuantum = s.postQuantum || c.PublicKey == nil || signedPostQuantum(c)
		s.size++
	}
	for _, c := range roots {
		s.roots.AddCert(c)
		s.isRoot[sha256.Sum256(c.Raw)] = true
		add(c)
	}
	for _, c := range intermediates {
		s.between.AddCert(c)
		add(c)
	}
	return s
}

// Len returns the number of certificates that the store was made of.
func (s *Store) Len() int { return s.size }

// Verify parses a leaf certificate in DER and builds a chain to a root: all
// signatures, all dates, and that issuers may issue. It does not look at
// names, purposes of the leaf or revocation. Leafs of version 1 are fine.
// A leaf that verified is remembered, one that did not is looked at again.
// The certificate is shared: do not change it.
func (s *Store) Verify(now time.Time, der []byte) (*x509.Certificate, error) {
	id := fingerprint(sha256.Sum256(der))
	s.mu.Lock()
	v, ok := s.verified[id]
	s.mu.Unlock()
	if ok && v.covers(now) {
		return v.cert, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("verify certificate: %w", err)
	}
	chain, err := s.chain(now, cert)
	if err != nil {
		return nil, fmt.Errorf("verify certificate of %q: %w", Name(cert), explain(err))
	}
	v = verdict{cert: cert, from: cert.NotBefore, until: cert.NotAfter}
	for _, c := range chain {
		if c.NotBefore.After(v.from) {
			v.from = c.NotBefore
		}
		if c.NotAfter.Before(v.until) {
			v.until = c.NotAfter
		}
	}
	s.remember(id, v)
	return cert, nil
}

// remember keeps a verdict, at the cost of the oldest if there are too many.
func (s *Store) remember(id fingerprint, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.verified[id]; !known {
		if len(s.order) < maxVerified {
			s.order = append(s.order, id)
		} else {
			delete(s.verified, s.order[s.oldest])
			s.order[s.oldest] = id
			s.oldest = (s.oldest + 1) % maxVerified
		}
	}
	s.verified[id] = v
}

// explain says in the words of this project what is wrong with a chain, and
// what to do.
func explain(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) && unknown.Cert != nil {
		return fmt.Errorf("issued by %q, and no chain leads from there to a CA certificate in cacert/: %w", unknown.Cert.Issuer.String(), err)
	}
	return err
}
