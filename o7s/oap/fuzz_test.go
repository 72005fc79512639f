// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/oap/kex"
	"o7gw/o7s/pki"
)

// seeded gives the same bytes for the same seed: fuzzing runs in several
// processes, which must have the same keys.
func seeded(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// fixedCredentials are the same in every process, since Ed25519 keys come from
// a seed and its signatures have no randomness.
func fixedCredentials(t testing.TB) (store *pki.Store, client, server *pki.Credentials) {
	t.Helper()
	from, until := vectorTime.Add(-time.Hour), vectorTime.Add(time.Hour)
	key := func(seed byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	}
	ca, err := pki.NewCA(seeded(1), key(1), "ca", from, until)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(seed byte, name string) *pki.Credentials {
		cert, err := pki.Issue(seeded(seed), ca, key(seed).Public(), name, from, until)
		if err != nil {
			t.Fatal(err)
		}
		return &pki.Credentials{Cert: cert.Raw, Leaf: cert, Key: key(seed)}
	}
	return pki.NewStore([]*x509.Certificate{ca.Leaf}, nil), leaf(2, "client"), leaf(3, "server")
}

// fuzzPolicies are those of both ends, by the same index: everything required;
// nothing configured; a hybrid; and a static key of the server.
func fuzzPolicies(t testing.TB) (clients, servers []*Policy) {
	store, client, server := fixedCredentials(t)
	conf := func(a kex.Algorithm, static bool) *encconf.Config {
		c := encconf.Default()
		c.Kex, c.ClientEncap = a, static
		return c
	}
	private, public, err := kex.NewStatic(kex.MLKEM512, seeded(4))
	if err != nil {
		t.Fatal(err)
	}
	clients = []*Policy{
		{Name: "server", Creds: client, Store: store, Enc: conf(kex.X25519, false), RequireEncryption: true, RequireAuthentication: true},
		nil,
		{Name: "server", Enc: conf(kex.X25519MLKEM768, false)},
		{Name: "server", Store: store, Enc: conf(kex.MLKEM512, true), KEMKey: public},
	}
	servers = []*Policy{
		{Name: "server", Creds: server, Store: store, Enc: conf(kex.X25519, false), RequireEncryption: true, RequireAuthentication: true},
		nil,
		{Name: "server", Enc: conf(kex.X25519MLKEM768, false)},
		{Name: "server", Creds: server, Enc: conf(kex.MLKEM512, true), KEMKey: private},
	}
	return clients, servers
}

// A request from outside goes through all of the server. Where everything is
// required, none is taken but the one that the client signed.
func FuzzServer(f *testing.F) {
	clients, servers := fuzzPolicies(f)
	var genuine [][]byte
	for i, p := range clients {
		c := request(f, vectorTime, seeded(5), p, []byte("data"))
		genuine = append(genuine, c.Request())
		f.Add(uint8(i), c.Request())
	}
	f.Add(uint8(1), unhex(f, requestB))
	f.Add(uint8(1), unhex(f, requestC))
	f.Fuzz(func(t *testing.T, which uint8, msg []byte) {
		i := int(which) % len(servers)
		var s Server
		p, err := s.Accept(vectorTime, bytes.Clone(msg))
		if err != nil {
			return
		}
		session, err := p.Negotiate(vectorTime, seeded(6), servers[i])
		if err != nil {
			if _, err := p.Respond(vectorTime, nil); err == nil {
				t.Fatal("refused, and answered")
			}
			return
		}
		if i == 0 && !bytes.Equal(msg, genuine[0]) {
			t.Fatal("a changed request was taken")
		}
		checkSession(t, session, i != 1)
		resp, err := p.Respond(vectorTime, []byte("data"))
		if err != nil {
			t.Fatal(err)
		}
		h, err := Parse(resp, len(requestHash(p.header.MD, msg)))
		if err != nil || h.ID != p.header.ID || h.Cipher != session.Cipher {
			t.Fatalf("response %+v, %v", h, err)
		}
	})
}

// A response from outside goes through all of the client. Where everything is
// required, none is taken but the one that the server signed.
func FuzzClient(f *testing.F) {
	clients, servers := fuzzPolicies(f)
	var genuine [][]byte
	for i, p := range clients {
		c := request(f, vectorTime, seeded(5), p, []byte("data"))
		var s Server
		pending, err := s.Accept(vectorTime, c.Request())
		if err != nil {
			f.Fatal(err)
		}
		_, resp := answer(f, vectorTime, seeded(6), pending, servers[i], []byte("data"))
		genuine = append(genuine, resp)
		f.Add(uint8(i), resp)
	}
	f.Fuzz(func(t *testing.T, which uint8, msg []byte) {
		i := int(which) % len(clients)
		c := request(t, vectorTime, seeded(5), clients[i], []byte("data"))
		session, err := c.Finish(vectorTime, msg)
		if err != nil {
			return
		}
		if i == 0 && !bytes.Equal(msg, genuine[0]) {
			t.Fatal("a changed response was taken")
		}
		checkSession(t, session, i != 1)
	})
}

func checkSession(t *testing.T, s *Session, encrypted bool) {
	t.Helper()
	if encrypted && s.Cipher == 0 {
		t.Fatalf("%v, and encryption is configured", s)
	}
	if (s.Cipher == 0) != (s.Key == nil) || s.Key != nil && (len(s.Key) != kex.KeySize || bytes.Equal(s.Key, make([]byte, kex.KeySize))) {
		t.Fatalf("%v with key of %d bytes", s, len(s.Key))
	}
	if s.Cipher != 0 && !cipher.Authenticated(s.Cipher) {
		t.Fatalf("%v was agreed on", s)
	}
}
