// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/kex"
)

// form is a pair of policies, and so a form that messages may have.
type form struct{ client, server Policy }

// forms returns those that differ in the key exchange. Those that are certified
// require everything of each other; the others cannot tell a change from what
// the peer wrote.
func forms(t testing.TB) map[string]form {
	ca := newAuthority(t)
	pair := func(kexName, mode, kind string) form {
		text := "kex = " + kexName + "\nkem_mode = " + mode
		pol := Policy{Name: "svc", Store: ca.store, Enc: conf(t, text)}
		f := form{pol, pol}
		if kind != "" {
			f.client.Enc = conf(t, text+"\nrequire = encryption,authentication")
			f.server.Enc = f.client.Enc
			f.client.Creds, f.server.Creds = ca.issue("user", kind), ca.issue("svc", kind)
		}
		if mode == "client" {
			private, public, err := kex.NewStatic(pol.Enc.Kex, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			f.client.KEMKey, f.server.KEMKey = public, private
		}
		return f
	}
	return map[string]form{
		"plain":                         {},
		"ML-KEM-512":                    pair("ML-KEM-512", "server", ""),
		"ML-KEM-512, client":            pair("ML-KEM-512", "client", ""),
		"certified, Ed25519":            pair("prime256v1", "server", "ed25519"),
		"certified, X25519MLKEM768":     pair("X25519MLKEM768", "server", "p256"),
		"certified, ML-KEM-512, client": pair("ML-KEM-512", "client", "p256"),
	}
}

// changes gives messages that differ from msg in one byte, that are cut, or
// have bytes behind the end. at is the first byte that differs.
func changes(msg []byte, yield func(at int, changed []byte)) {
	for at := range msg {
		for _, bits := range []byte{0x01, 0x80} {
			b := bytes.Clone(msg)
			b[at] ^= bits
			yield(at, b)
		}
		yield(at, bytes.Clone(msg[:at]))
	}
	for n := 1; n <= 32; n++ {
		yield(len(msg), append(bytes.Clone(msg), make([]byte, n)...))
	}
}

// checkRefusal fails unless the peer can be told a number.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, layer.ErrAuth) && !errors.Is(err, layer.ErrCrypt) {
		t.Fatalf("refused without a number: %v", err)
	}
}

// A changed request is refused by a server that requires a certificate. With
// one that does not, it leads to no flow: the response tells the hash of what
// the server got.
func TestChangedRequestOfEachForm(t *testing.T) {
	for name, f := range forms(t) {
		t.Run(name, func(t *testing.T) {
			c := request(t, vectorTime, rand.Reader, &f.client, []byte("data"))
			if _, _, err := serve(bytes.Clone(c.Request()), &f.server); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			taken, refused := 0, 0
			changes(c.Request(), func(at int, changed []byte) {
				_, resp, err := serve(changed, &f.server)
				if err != nil {
					refused++
					checkRefusal(t, err)
					return
				}
				taken++
				if f.server.authenticationRequired() {
					t.Fatalf("byte %d changed: taken by the server", at)
				}
				if s, err := c.Finish(vectorTime, resp); err == nil {
					t.Fatalf("byte %d changed: response taken by the client, %v", at, s)
				}
			})
			if refused == 0 || taken == 0 && !f.server.authenticationRequired() {
				t.Errorf("%d taken, %d refused", taken, refused)
			}
		})
	}
}

// A changed response is refused by a client that requires a certificate. One
// that does not takes none for another request and none that is weaker than its
// choice, and ends up with another key if the key exchange was changed.
func TestChangedResponseOfEachForm(t *testing.T) {
	for name, f := range forms(t) {
		t.Run(name, func(t *testing.T) {
			fresh := func() *Client { return request(t, vectorTime, seeded(1), &f.client, nil) }
			c := fresh()
			there, resp, err := serve(bytes.Clone(c.Request()), &f.server)
			if err != nil {
				t.Fatal(err)
			}
			genuine, err := Parse(resp, len(c.hash))
			if err != nil {
				t.Fatal(err)
			}
			changes(resp, func(at int, changed []byte) {
				s, err := c.Finish(vectorTime, changed)
				if err != nil {
					checkRefusal(t, err)
					return
				}
				h, err := Parse(changed, len(c.hash))
				switch {
				case err != nil:
					t.Fatal(err)
				case f.client.authenticationRequired():
					t.Fatalf("byte %d changed: taken by the client", at)
				case h.ID != genuine.ID || !bytes.Equal(h.ReqHash, genuine.ReqHash):
					t.Fatalf("byte %d: response to another request", at)
				case cipher.Rank(s.Cipher) < cipher.Rank(there.Cipher):
					t.Fatalf("byte %d: %v is weaker than what is configured", at, s)
				case len(genuine.Kex) > 0 && !bytes.Equal(h.Kex, genuine.Kex) && bytes.Equal(s.Key, there.Key):
					t.Fatalf("byte %d: the same key from another key exchange", at)
				}
				c = fresh() // a client finishes once
			})
			here, err := c.Finish(vectorTime, resp)
			if err != nil || !bytes.Equal(here.Key, there.Key) || here.Cipher != there.Cipher {
				t.Errorf("unchanged: %v, %v", here, err)
			}
		})
	}
}

// A request is good for one flow, whichever name of the server it is shown to.
func TestReplayOfEachForm(t *testing.T) {
	other := Policy{Name: "other"}
	for name, f := range forms(t) {
		var s Server
		msg := request(t, vectorTime, rand.Reader, &f.client, nil).Request()
		p, err := s.Accept(vectorTime, bytes.Clone(msg))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := p.Negotiate(vectorTime, rand.Reader, &other); err == nil && f.client.authenticationRequired() {
			t.Errorf("%s: taken by a name without authorities", name)
		}
		if _, err := s.Accept(vectorTime, bytes.Clone(msg)); !errors.Is(err, ErrReplayed) {
			t.Errorf("%s: shown to a second name: %v", name, err)
		}
	}
}
