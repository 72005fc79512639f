// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/encconf"
)

// conf reads an enc.conf; "-" is no file.
func conf(t testing.TB, text string) *encconf.Config {
	t.Helper()
	if text == "-" {
		return nil
	}
	c, err := encconf.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Spec 30 §6.12, and what our own policies add to it.
func TestOutcomes(t *testing.T) {
	const none, def, x25519 = "-", "", "kex = X25519"
	for _, c := range []struct {
		name, client, server string
		cipher               uint16
		err                  layer.Errno
		text                 string
	}{
		{"nothing", none, none, 0, 0, ""},
		{"switched off", "none", "none", 0, 0, ""},
		{"server without file", x25519, none, 901, 0, ""},
		{"server without file, other choices", "kex = secp521r1\ncipher = aes-192-gcm\nkdf = blake2s256", none, 898, 0, ""},
		{"server switched off", x25519, "none", 901, 0, ""},
		{"client without file", none, x25519, 0, layer.ErrCrypt, "the client wants no encryption"},
		{"client switched off", "none", def, 0, layer.ErrCrypt, "the client wants no encryption"},
		{"equal", def, def, 901, 0, ""},
		{"kex stronger", "kex = secp521r1", x25519, 901, 0, ""},
		{"kex weaker", "kex = prime256v1", x25519, 0, layer.ErrCrypt, "prime256v1, which is weaker than the X25519"},
		{"hybrid to curve", "kex = X25519MLKEM768", x25519, 901, 0, ""},
		{"curve to hybrid", x25519, "kex = X25519MLKEM768", 0, layer.ErrCrypt, "weaker than the X25519MLKEM768"},
		{"cipher weaker", "cipher = aes-128-gcm", "cipher = chacha20-poly1305", 1018, 0, ""},
		{"cipher stronger", "cipher = chacha20-poly1305", "cipher = aes-128-gcm", 1018, 0, ""},
		{"kdf weaker", "kdf = blake2s256", "kdf = sha3-512", 901, 0, ""},
		{"kdf stronger", "kdf = sha3-512", "kdf = blake2s256", 901, 0, ""},
		{"digests differ", "digest = sha3-512", "digest = blake2s256", 901, 0, ""},
		{"ctr of the client", "cipher = aes-256-ctr", none, 901, 0, ""},
		{"ctr of the client, gcm of the server", "cipher = aes-256-ctr", "cipher = aes-128-gcm", 895, 0, ""},
		{"ctr of both", "cipher = aes-256-ctr", "cipher = aes-128-ctr", 901, 0, ""},
		{"ctr of the server", "cipher = aes-128-gcm", "cipher = aes-256-ctr", 895, 0, ""},

		{"server requires", none, "none\nrequire = encryption", 0, layer.ErrCrypt, "it is required for this name"},
		{"server requires, and gets", x25519, "none\nrequire = encryption", 901, 0, ""},
		{"client requires and has nothing", "none\nrequire = encryption", def, 0, layer.ErrCrypt, "no key exchange is configured; write an enc.conf"},
		{"client requires, and gets", "require = encryption", none, 901, 0, ""},
		{"client requires authentication, no CA", "require = authentication", none, 0, layer.ErrAuth, "no CA certificates"},
		{"server requires authentication", def, "require = authentication", 0, layer.ErrAuth, "the client showed no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Server
			here, there, err := handshake(t, &s, &Policy{Name: "svc", Enc: conf(t, c.client)}, &Policy{Name: "svc", Enc: conf(t, c.server)})
			if c.err != 0 {
				if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, %v: %v", here, there, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if here.Cipher != c.cipher || there.Cipher != c.cipher || !bytes.Equal(here.Key, there.Key) || (c.cipher == 0) != (here.Key == nil) {
				t.Errorf("%v and %v", here, there)
			}
			if string(here.Data) != "pong" || string(there.Data) != "ping" || here.Peer+there.Peer != "" {
				t.Errorf("%v and %v", here, there)
			}
		})
	}
}

// What a server may choose, as the client judges it.
func TestServerChoices(t *testing.T) {
	c := request(t, vectorTime, seeded(1), &Policy{Enc: conf(t, "kex = X25519\nkdf = sha384")}, nil)
	var s Server
	p, err := s.Accept(vectorTime, c.Request())
	if err != nil {
		t.Fatal(err)
	}
	there, resp := answer(t, vectorTime, seeded(2), p, nil, nil)
	good, err := Parse(resp, len(c.hash))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name   string
		change func(h *Header)
		text   string
	}{
		{"as it came", func(h *Header) {}, ""},
		{"no kdf", func(h *Header) { h.KDF = 0 }, ""},
		{"no cipher", func(h *Header) { h.Cipher = 0 }, "answered without encryption"},
		{"ctr", func(h *Header) { h.Cipher = 906 }, "does not protect packets"},
		{"weaker cipher", func(h *Header) { h.Cipher = 895 }, "aes-128-gcm, which is weaker than the aes-256-gcm"},
		{"weaker kdf", func(h *Header) { h.KDF = 672 }, "sha256, which is weaker than the sha384"},
		{"no key exchange", func(h *Header) { h.Kex = nil }, "answered without key exchange"},
		{"other key exchange", func(h *Header) { h.Kex = unhex(t, requestC)[HeaderSize:] }, "finish X25519 key exchange"},
		{"all of it gone", func(h *Header) { h.Kex, h.Cipher, h.KDF = nil, 0, 0 }, "answered without encryption"},
	} {
		h := good
		v.change(&h)
		fresh := *c
		fresh.key = request(t, vectorTime, seeded(1), c.policy, nil).key
		session, err := fresh.Finish(vectorTime, h.Append(nil))
		if v.text == "" {
			if err != nil || !bytes.Equal(session.Key, there.Key) {
				t.Errorf("%s: %v, %v", v.name, session, err)
			}
		} else if !errors.Is(err, layer.ErrCrypt) || !strings.Contains(err.Error(), v.text) {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}
