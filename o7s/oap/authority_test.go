// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"o7gw/o7s/pki"
)

// authority issues certificates for tests; they are valid around vectorTime.
type authority struct {
	t     testing.TB
	creds *pki.Credentials
	store *pki.Store
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := pki.GenerateKey(rand.Reader, "p256")
	if err != nil {
		t.Fatal(err)
	}
	creds, err := pki.NewCA(rand.Reader, key, "ca", vectorTime.Add(-time.Hour), vectorTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, creds, pki.NewStore([]*x509.Certificate{creds.Leaf}, nil)}
}

// issue makes credentials for a name with a key of a kind of pki.Algorithms.
func (a *authority) issue(name, kind string) *pki.Credentials {
	a.t.Helper()
	key, err := pki.GenerateKey(rand.Reader, kind)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := pki.Issue(rand.Reader, a.creds, key.Public(), name, vectorTime.Add(-time.Hour), vectorTime.Add(time.Hour))
	if err != nil {
		a.t.Fatal(err)
	}
	return &pki.Credentials{Cert: cert.Raw, Leaf: cert, Key: key}
}

// handshake runs a whole exchange; the error is of the end that refused first.
func handshake(t testing.TB, s *Server, client, server *Policy) (here, there *Session, err error) {
	t.Helper()
	c, err := NewRequest(vectorTime, rand.Reader, client, []byte("ping"))
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Accept(vectorTime, c.Request())
	if err != nil {
		return nil, nil, err
	}
	if there, err = p.Negotiate(vectorTime, rand.Reader, server); err != nil {
		return nil, nil, err
	}
	resp, err := p.Respond(vectorTime, []byte("pong"))
	if err != nil {
		return nil, nil, err
	}
	here, err = c.Finish(vectorTime, resp)
	return here, there, err
}
