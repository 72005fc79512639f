// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/oap/kex"
	"o7gw/o7s/pki"
)

// capturedStore trusts the authority of the captured sessions.
func capturedStore(t testing.TB) *pki.Store {
	t.Helper()
	file, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.ParseCertificate(file)
	if err != nil {
		t.Fatal(err)
	}
	return pki.NewStore([]*x509.Certificate{ca}, nil)
}

// capturedClient is what the client of a session was, but for its private key,
// which nobody knows: it gets another one.
func capturedClient(t testing.TB, m message, p *Policy) (*Client, time.Time) {
	t.Helper()
	h, err := Parse(m.bytes, 0)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, int64(h.Timestamp))
	c := request(t, now, bytes.NewReader(append(bytes.Clone(h.ID[:]), bytes.Repeat([]byte{7}, 32)...)), p, nil)
	if len(c.request) != len(m.bytes) || !bytes.Equal(c.request[:HeaderSize], m.bytes[:HeaderSize]) {
		t.Errorf("%s: our client says %x", m.session, c.request)
	}
	c.request, c.hash = m.bytes, requestHash(h.MD, m.bytes)
	return c, now
}

// The captured responses pass all checks of our client, and the certified ones
// are proven to be the server's; a changed byte in them is noticed.
func TestCaptureHandshakes(t *testing.T) {
	all := captured(t)
	store := capturedStore(t)
	x25519 := encconf.Default()
	x25519.Kex = kex.X25519
	for i := 0; i < len(all); i += 2 {
		q, r := all[i], all[i+1]
		auth, enc := strings.Contains(q.session, "auth"), strings.Contains(q.session, "enc")
		pol := &Policy{Name: "op", Store: store, RequireAuthentication: auth, RequireEncryption: enc}
		if enc {
			pol.Enc = x25519
		}
		c, now := capturedClient(t, q, pol)
		s, err := c.Finish(now, r.bytes)
		if err != nil {
			t.Errorf("%s: %v", q.session, err)
			continue
		}
		if auth != (s.Peer == "op") || enc != (s.Cipher == 901 && len(s.Key) == 32) {
			t.Errorf("%s: session %v", q.session, s)
		}
		if !auth {
			continue
		}
		for at := range r.bytes {
			changed := bytes.Clone(r.bytes)
			changed[at] ^= 1
			c, now := capturedClient(t, q, pol)
			if s, err := c.Finish(now, changed); err == nil {
				t.Errorf("%s: byte %d changed, and still %v", q.session, at, s)
			}
		}
		other := *pol
		other.Name = "oq"
		c, _ = capturedClient(t, q, &other)
		if _, err := c.Finish(now, r.bytes); !errors.Is(err, layer.ErrAuth) || !strings.Contains(err.Error(), `"op", not for "oq"`) {
			t.Errorf("%s: for another name: %v", q.session, err)
		}
		c, _ = capturedClient(t, q, pol)
		if _, err := c.Finish(now.AddDate(11, 0, 0), r.bytes); !errors.Is(err, layer.ErrAuth) {
			t.Errorf("%s: eleven years later: %v", q.session, err)
		}
	}
}

// The captured requests are taken by our server, which had no enc.conf either;
// its response has the form of the captured one.
func TestCaptureServer(t *testing.T) {
	all := captured(t)
	for i := 0; i < len(all); i += 2 {
		q, r := all[i], all[i+1]
		h, err := Parse(q.bytes, 0)
		if err != nil {
			t.Fatal(err)
		}
		var s Server
		p, err := s.Accept(time.Unix(0, int64(h.Timestamp)), q.bytes)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Parse(r.bytes, len(requestHash(h.MD, q.bytes)))
		if err != nil {
			t.Fatal(err)
		}
		session, resp := answer(t, time.Unix(0, int64(want.Timestamp)), seeded(1), p, nil, nil)
		got, err := Parse(resp, len(want.ReqHash))
		if err != nil {
			t.Fatal(err)
		}
		if session.Cipher != want.Cipher || len(got.Kex) != len(want.Kex) {
			t.Errorf("%s: session %v, %d bytes of key exchange", q.session, session, len(got.Kex))
		}
		// The rest is the same to the bit.
		got.Kex, got.Cert, got.Sig = want.Kex, want.Cert, want.Sig
		if b := got.Append(nil); !bytes.Equal(b, r.bytes) {
			t.Errorf("%s: response %x, want %x", q.session, b, r.bytes)
		}
	}
}
