// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/digest"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/oap/kex"
	"o7gw/o7s/pki"
)

// Every key exchange with every cipher, every key derivation and both modes of
// KEMs.
func TestMatrix(t *testing.T) {
	var s Server
	keys := make(map[string]string) // session keys never repeat
	for _, kexName := range kex.Names() {
		a, _ := kex.ByName(kexName)
		var private, public []byte
		modes := []bool{false}
		if a.KEM() {
			modes = append(modes, true)
			var err error
			if private, public, err = kex.NewStatic(a, seeded(1)); err != nil {
				t.Fatal(err)
			}
		}
		for _, static := range modes {
			for _, cipherName := range cipher.Names() {
				for _, kdfName := range digest.Names() {
					name := strings.Join([]string{kexName, cipherName, kdfName, map[bool]string{false: "server", true: "client"}[static]}, " ")
					enc := &encconf.Config{Kex: a, Digest: digest.SHA256, ClientEncap: static}
					enc.Cipher, _ = cipher.ByName(cipherName)
					enc.KDF, _ = digest.ByName(kdfName)
					here, there, err := handshake(t, &s, &Policy{Enc: enc, KEMKey: public}, &Policy{Enc: enc, KEMKey: private})
					if err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					want := enc.Cipher
					if strings.HasSuffix(cipherName, "ctr") {
						want = cipher.AES256GCM
					}
					if here.Cipher != want || there.Cipher != want || !bytes.Equal(here.Key, there.Key) || len(here.Key) != 32 {
						t.Errorf("%s: %v and %v", name, here, there)
					}
					if other, ok := keys[string(here.Key)]; ok {
						t.Errorf("%s and %s have the same key", name, other)
					}
					keys[string(here.Key)] = name
				}
			}
		}
	}
	if want := (13 + 5) * 7 * 8; len(keys) != want {
		t.Errorf("%d handshakes, want %d", len(keys), want)
	}
}

// Files of static keys that are missing, wrong or do not fit enc.conf.
func TestStaticKeyRefusals(t *testing.T) {
	private, public, err := kex.NewStatic(kex.MLKEM768, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	otherPrivate, otherPublic, err := kex.NewStatic(kex.MLKEM1024, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	_, hybridPublic, err := kex.NewStatic(kex.X25519MLKEM768, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	const static = "kex = ML-KEM-768\nkem_mode = client\n"
	for _, c := range []struct {
		name           string
		client, server Policy
		text           string
	}{
		{"no file at the client", Policy{Enc: conf(t, static)}, Policy{}, "kex.srv.pub.pem or .raw) is missing"},
		{"rubbish at the client", Policy{Enc: conf(t, static), KEMKey: []byte("x")}, Policy{}, "kex.srv.pub.pem or .raw): parse static public key"},
		{"other key at the client", Policy{Enc: conf(t, static), KEMKey: otherPublic}, Policy{}, "kex = ML-KEM-768, and the server's public key is one of ML-KEM-1024"},
		{"no enc.conf at the server", Policy{Enc: conf(t, static), KEMKey: public}, Policy{KEMKey: private}, "enc.conf of this name says kex = none"},
		{"no KEM at the server", Policy{Enc: conf(t, static), KEMKey: public}, Policy{Enc: conf(t, ""), KEMKey: private}, "kex = prime256v1"},
		{"no file at the server", Policy{Enc: conf(t, static), KEMKey: public}, Policy{Enc: conf(t, static)}, "kex.key.pem or .raw of this name is missing"},
		{"rubbish at the server", Policy{Enc: conf(t, static), KEMKey: public}, Policy{Enc: conf(t, static), KEMKey: []byte("x")}, "kex.key.pem or .raw of this name: parse static private key"},
		{"other key at the server", Policy{Enc: conf(t, static), KEMKey: public}, Policy{Enc: conf(t, static), KEMKey: otherPrivate}, "kex = ML-KEM-768, and its static key is one of ML-KEM-1024"},
		{"other KEM", Policy{Enc: conf(t, "kex = ML-KEM-1024\nkem_mode = client"), KEMKey: otherPublic}, Policy{Enc: conf(t, static), KEMKey: private}, "ciphertext of 1568 bytes, need 1088"},
		{"hybrid to ML-KEM", Policy{Enc: conf(t, "kex = X25519MLKEM768\nkem_mode = client"), KEMKey: hybridPublic}, Policy{Enc: conf(t, static), KEMKey: private}, "another KEM than the ML-KEM-768"},
		{"stronger kdf at the server", Policy{Enc: conf(t, static), KEMKey: public}, Policy{Enc: conf(t, static+"kdf = sha512"), KEMKey: private}, "give both enc.conf the same kdf"},
	} {
		var s Server
		_, _, err := handshake(t, &s, &c.client, &c.server)
		if !errors.Is(err, layer.ErrCrypt) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Both ends show certificates with every kind of key and every digest.
func TestKeyKinds(t *testing.T) {
	ca := newAuthority(t)
	kinds := pki.Algorithms()
	if len(kinds) < 5 {
		t.Fatalf("only %q", kinds)
	}
	var s Server
	for _, kind := range kinds {
		if strings.HasPrefix(kind, "slh") || kind == "rsa3072" || kind == "rsa4096" {
			continue // slow, and pki tests them
		}
		client, server := ca.issue("user", kind), ca.issue("svc", kind)
		for _, md := range append(digest.Names(), "") {
			enc := "-"
			if md != "" {
				enc = "kex = X25519\ndigest = " + md
			}
			here, there, err := handshake(t, &s,
				&Policy{Name: "svc", Creds: client, Store: ca.store, Enc: conf(t, enc), RequireAuthentication: true},
				&Policy{Name: "svc", Creds: server, Store: ca.store, Enc: conf(t, enc), RequireAuthentication: true})
			if err != nil {
				t.Errorf("%s, digest %q: %v", kind, md, err)
			} else if here.Peer != "svc" || there.Peer != "user" || !bytes.Equal(here.Key, there.Key) {
				t.Errorf("%s, digest %q: %v and %v", kind, md, here, there)
			}
		}
	}
}
