// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"errors"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/pki"
)

// attack is somebody between the two ends, who changes messages.
type attack struct {
	request, response func(h *Header)
}

// run runs a handshake through the attacker and tells who refused.
func (a attack) run(t *testing.T, client, server *Policy) (by string, err error) {
	t.Helper()
	c := request(t, vectorTime, seeded(1), client, nil)
	h, err := Parse(c.Request(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if a.request != nil {
		a.request(&h)
	}
	var s Server
	p, err := s.Accept(vectorTime, h.Append(nil))
	if err != nil {
		return "server", err
	}
	if _, err = p.Negotiate(vectorTime, seeded(2), server); err != nil {
		return "server", err
	}
	resp, err := p.Respond(vectorTime, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h, err = Parse(resp, len(c.hash)); err != nil {
		t.Fatal(err)
	}
	// Whoever changed the request can put the right hash into the response.
	h.ReqHash = c.hash
	if a.response != nil {
		a.response(&h)
	}
	if _, err = c.Finish(vectorTime, h.Append(nil)); err != nil {
		return "client", err
	}
	return "", nil
}

func noCertificate(h *Header) { h.Cert, h.Sig = nil, nil }

func noEncryption(h *Header) { h.Cipher, h.KDF, h.KexFlags, h.Kex = 0, 0, 0, nil }

// Taking out what protects a flow is noticed wherever it is required; where it
// is not, the protocol cannot notice (spec 30 OA-1).
func TestStripping(t *testing.T) {
	ca := newAuthority(t)
	user, svc := ca.issue("user", "p256"), ca.issue("svc", "p256")
	x25519 := conf(t, "kex = X25519")
	required := func(text string) *encconf.Config { return conf(t, "kex = X25519\nrequire = "+text) }
	swapKey := func(h *Header) {
		noCertificate(h)
		h.Kex = request(t, vectorTime, seeded(3), &Policy{Enc: x25519}, nil).key.Public()
	}
	for _, c := range []struct {
		name           string
		attack         attack
		client, server Policy
		by             string
		err            layer.Errno
		text           string
	}{
		{"certificate of the server, required by policy", attack{response: swapKey},
			Policy{Enc: x25519, RequireAuthentication: true}, Policy{Enc: x25519}, "client", layer.ErrAuth, "the server showed no certificate"},
		{"certificate of the server, required by enc.conf", attack{response: swapKey},
			Policy{Enc: required("authentication")}, Policy{Enc: x25519}, "client", layer.ErrAuth, "the server showed no certificate"},
		{"certificate of the client, required by policy", attack{request: swapKey},
			Policy{Enc: x25519}, Policy{Enc: x25519, RequireAuthentication: true}, "server", layer.ErrAuth, "the client showed no certificate"},
		{"certificate of the client, required by enc.conf", attack{request: noCertificate},
			Policy{Enc: x25519}, Policy{Enc: required("authentication,encryption")}, "server", layer.ErrAuth, "the client showed no certificate"},
		{"all certificates, nothing required", attack{request: noCertificate, response: noCertificate},
			Policy{Enc: x25519}, Policy{Enc: x25519}, "", 0, ""},
		{"key in a signed request", attack{request: func(h *Header) { cert, sig := h.Cert, h.Sig; swapKey(h); h.Cert, h.Sig = cert, sig }},
			Policy{Enc: x25519}, Policy{Enc: x25519}, "server", layer.ErrAuth, "changed on its way"},
		{"key in a signed response", attack{response: func(h *Header) { cert, sig := h.Cert, h.Sig; swapKey(h); h.Cert, h.Sig = cert, sig }},
			Policy{Enc: x25519}, Policy{Enc: x25519}, "client", layer.ErrAuth, "changed on its way"},
		{"signature only", attack{response: func(h *Header) { h.Sig = nil }},
			Policy{Enc: x25519}, Policy{Enc: x25519}, "client", layer.ErrAuth, ""},
		{"encryption, required at the server", attack{request: func(h *Header) { noEncryption(h); noCertificate(h) }},
			Policy{Enc: x25519}, Policy{RequireEncryption: true}, "server", layer.ErrCrypt, "the client wants no encryption, and it is required"},
		{"encryption, server with a key exchange", attack{request: func(h *Header) { noEncryption(h); noCertificate(h) }},
			Policy{Enc: x25519}, Policy{Enc: x25519}, "server", layer.ErrCrypt, "the client wants no encryption"},
		{"encryption, server without enc.conf", attack{request: func(h *Header) { noEncryption(h); noCertificate(h) }, response: noCertificate},
			Policy{Enc: x25519}, Policy{}, "client", layer.ErrCrypt, "answered without encryption"},
		{"encryption in the response", attack{response: func(h *Header) { noEncryption(h); noCertificate(h) }},
			Policy{Enc: x25519}, Policy{}, "client", layer.ErrCrypt, "answered without encryption"},
		{"encryption, nothing configured", attack{request: noCertificate, response: noCertificate}, Policy{}, Policy{}, "", 0, ""},
		{"cipher to a weaker one", attack{response: func(h *Header) { noCertificate(h); h.Cipher = 895 }},
			Policy{Enc: x25519}, Policy{Enc: x25519}, "client", layer.ErrCrypt, "weaker"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.client.Name, c.client.Creds, c.client.Store = "svc", user, ca.store
			c.server.Name, c.server.Creds, c.server.Store = "svc", svc, ca.store
			if by, err := (attack{}).run(t, &c.client, &c.server); err != nil {
				t.Fatalf("without attacker: %s: %v", by, err)
			}
			by, err := c.attack.run(t, &c.client, &c.server)
			if by != c.by || c.by != "" && (!errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text)) {
				t.Errorf("%q refused: %v; want %q", by, err, c.by)
			}
		})
	}
}

// Certificates that prove nothing.
func TestBadCertificates(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	svc := ca.issue("svc", "p256")
	other := ca.issue("other", "p256")
	expired, err := pki.Issue(seeded(1), ca.creds, svc.Key.Public(), "svc", vectorTime.Add(-time.Hour), vectorTime.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		creds *pki.Credentials
		store *pki.Store
		text  string
	}{
		{"good", svc, ca.store, ""},
		{"of another authority", foreign.issue("svc", "p256"), ca.store, "does not verify"},
		{"with another key", &pki.Credentials{Cert: svc.Cert, Leaf: svc.Leaf, Key: other.Key}, ca.store, "signed with a wrong key"},
		{"expired", &pki.Credentials{Cert: expired.Raw, Leaf: expired, Key: svc.Key}, ca.store, "does not verify"},
		{"rubbish", &pki.Credentials{Cert: []byte("rubbish"), Key: svc.Key}, ca.store, "does not verify"},
		{"no authorities", svc, pki.NewStore(nil, nil), "does not verify"},
		{"no store", svc, nil, "no CA certificates to verify"},
		{"too long to send", &pki.Credentials{Cert: make([]byte, maxField+1), Key: svc.Key}, ca.store, "at most 65535 can be sent"},
	} {
		for _, end := range []string{"client", "server"} {
			good, bad := &Policy{Name: "svc", Store: c.store}, &Policy{Name: "svc", Creds: c.creds}
			client, server := good, bad
			if end == "client" {
				client, server = bad, good
			}
			var s Server
			here, there, err := handshake(t, &s, client, server)
			if c.text == "" {
				if err != nil || here.Peer+there.Peer != "svc" {
					t.Errorf("%s, %s: %v, %v, %v", end, c.name, here, there, err)
				}
			} else if !errors.Is(err, layer.ErrAuth) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s, %s: %v", end, c.name, err)
			}
		}
	}
	// Only the client compares the name with what it asked for.
	var s Server
	_, _, err = handshake(t, &s, &Policy{Name: "svc", Store: ca.store}, &Policy{Creds: other})
	if !errors.Is(err, layer.ErrAuth) || !strings.Contains(err.Error(), `certificate is for "other", not for "svc"`) {
		t.Errorf("other name: %v", err)
	}
	if _, there, err := handshake(t, &s, &Policy{Name: "svc", Creds: other}, &Policy{Name: "svc", Store: ca.store}); err != nil || there.Peer != "other" {
		t.Errorf("name of the client: %v, %v", there, err)
	}
}
