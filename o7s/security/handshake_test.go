// SPDX-License-Identifier: BSD-3-Clause

package security

import (
	"crypto/rand"
	"errors"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/pki"
)

// handshake allocates a flow with the files of two machines and returns what
// the client and the server learn.
func handshake(client, server *Loader, name string) (c, s *oap.Session, err error) {
	cp, err := client.Client(name, Paths{}, Require{Authentication: true})
	if err != nil {
		return nil, nil, err
	}
	sp, err := server.Server(name, Paths{}, Require{})
	if err != nil {
		return nil, nil, err
	}
	cl, err := oap.NewRequest(now, rand.Reader, cp, nil)
	if err != nil {
		return nil, nil, err
	}
	var srv oap.Server
	pending, err := srv.Accept(now, cl.Request())
	if err != nil {
		return nil, nil, err
	}
	if s, err = pending.Negotiate(now, rand.Reader, sp); err != nil {
		return nil, nil, err
	}
	resp, err := pending.Respond(now, nil)
	if err != nil {
		return nil, nil, err
	}
	c, err = cl.Finish(now, resp)
	return c, s, err
}

// TestHandshake allocates flows with files as users have them, keys of all
// kinds and both ends authenticated.
func TestHandshake(t *testing.T) {
	for _, alg := range []string{"p256", "ed25519", "rsa2048", "ml-dsa-65", "slh-dsa-sha2-128f"} {
		ca := newCA(t, "ca")
		client, server := &tree{t, t.TempDir(), ca}, &tree{t, t.TempDir(), ca}
		for _, tr := range []*tree{client, server} {
			tr.trust(ca)
		}
		client.installKey("client/shop", "alice", alg)
		server.installKey("server/shop", "shop", alg)
		client.write("client/shop/enc.conf", []byte("kex = X25519\ndigest = sha512"))
		server.write("server/shop/enc.conf", []byte("kex = prime256v1"))
		c, s, err := handshake(NewLoader(client.dir, nil), NewLoader(server.dir, nil), "shop")
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if c.Peer != "shop" || s.Peer != "alice" || len(c.Key) != 32 || string(c.Key) != string(s.Key) || c.Cipher == 0 {
			t.Errorf("%s: client %v, server %v", alg, c, s)
		}
		// The certificate of another service, from the same authority.
		server.installKey("server/shop", "stop", alg)
		if _, _, err := handshake(NewLoader(client.dir, nil), NewLoader(server.dir, nil), "shop"); !errors.Is(err, layer.ErrAuth) {
			t.Errorf("%s: a server with the certificate of another: %v", alg, err)
		}
		// No certificate.
		if _, _, err := handshake(NewLoader(client.dir, nil), NewLoader("", nil), "shop"); !errors.Is(err, layer.ErrAuth) {
			t.Errorf("%s: a server without a certificate: %v", alg, err)
		}
	}
}

func (t *tree) installKey(dir, name, algorithm string) {
	t.Helper()
	signer, err := pki.GenerateKey(rand.Reader, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.Issue(rand.Reader, t.ca, signer.Public(), name, now.Add(-1), now.Add(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.MarshalKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	t.write(dir+"/key.pem", key)
	t.write(dir+"/crt.pem", pki.MarshalCertificate(c))
}
