// SPDX-License-Identifier: BSD-3-Clause

package encconf

import (
	"strings"
	"testing"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/digest"
	"o7gw/o7s/oap/kex"
)

func TestParse(t *testing.T) {
	def := *Default()
	with := func(f func(c *Config)) Config {
		c := def
		f(&c)
		return c
	}
	x25519 := with(func(c *Config) { c.Kex = kex.X25519 })
	for name, c := range map[string]struct {
		text string
		want Config
	}{
		"empty":            {"", def},
		"comments":         {"# kex = X25519\n\n  \nno assignment\n", def},
		"long comment":     {"#" + strings.Repeat(" kex = X25519", 100) + "\n", def},
		"longest line":     {"kex = X25519" + strings.Repeat(" ", 255-12) + "\n", x25519},
		"kex":              {"kex=X25519", x25519},
		"spaces":           {" \t kex \t=  X25519  \r\n", x25519},
		"later wins":       {"kex = secp521r1\nkex = X25519\n", x25519},
		"unknown keys":     {"colour = blue\nKEX = secp384r1\n= x\nkex = X25519", x25519},
		"all":              {"kex=X25519MLKEM768\ncipher=chacha20-poly1305\nkdf=sha512\ndigest=sha3-512\nkem_mode=client\n", Config{kex.X25519MLKEM768, cipher.ChaCha20Poly1305, digest.SHA512, digest.SHA3_512, true, false, false}},
		"back to server":   {"kem_mode = client\nkem_mode = server\n", def},
		"ctr":              {"cipher = aes-256-ctr", with(func(c *Config) { c.Cipher = cipher.AES256CTR })},
		"none":             {"none\n", Config{}},
		"none with spaces": {"  none\t\n", Config{}},
		"none clears":      {"kex = X25519\ncipher = aes-128-gcm\nnone\n", Config{}},
		"nothing behind":   {"none\ncipher = aes-128-gcm\ndigest = sha512\n", Config{}},
		"not none":         {"none of these\nNone\nkex = X25519", x25519},
		"none as key":      {"none = none", def},
		"kex behind none":  {"none\nkex = X25519", x25519},
		"require":          {"require = encryption", with(func(c *Config) { c.RequireEncryption = true })},
		"require both":     {"require=authentication , encryption", with(func(c *Config) { c.RequireEncryption, c.RequireAuthentication = true, true })},
		"require later":    {"require = encryption\nrequire = authentication", with(func(c *Config) { c.RequireAuthentication = true })},
		"require nothing":  {"require = encryption\nrequire =", def},
		"require, none":    {"require = encryption\nnone\n", Config{RequireEncryption: true}},
		"none, require":    {"none\nrequire = authentication\n", Config{RequireAuthentication: true}},
	} {
		got, err := Parse([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if *got != c.want {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
	}
}

func TestParseRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"\nkex = x25519":         "line 2: kex = \"x25519\" is not known; possible: ffdhe2048, ",
		"kex =":                  "kex = \"\" is not known",
		"kex = X25519 # fast":    "is not known",
		"cipher = aes":           "possible: aes-128-ctr, ",
		"kdf = md5":              "possible: blake2s256, ",
		"digest = sha1":          "possible: blake2s256, ",
		"kem_mode = both":        "possible: server, client",
		"require = secrecy":      "possible: encryption, authentication",
		"require = encryption;x": "possible: encryption, authentication",
		"kex = X25519" + strings.Repeat(" ", 256-12) + "\n": "line 1: longer than 255 bytes",
	} {
		if c, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, c)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Each name that an error message offers is taken.
func TestParseAllNames(t *testing.T) {
	for key, names := range map[string][]string{
		"kex": kex.Names(), "cipher": cipher.Names(), "kdf": digest.Names(), "digest": digest.Names(),
	} {
		for _, n := range names {
			if c, err := Parse([]byte(key + " = " + n)); err != nil {
				t.Error(err)
			} else if !strings.Contains(c.String(), key+" = "+n+"\n") {
				t.Errorf("%s = %s became %q", key, n, c)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("kex = X25519MLKEM768\ncipher=chacha20-poly1305\nkdf = sha512\ndigest=blake2s256\nkem_mode = client\n"))
	f.Add([]byte("# comment\nnone\nrequire = encryption,authentication\r\n"))
	f.Add([]byte("kex=\nnone=\n=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse([]byte(c.String()))
		if err != nil || *again != *c {
			t.Fatalf("%+v became %q became %+v, %v", c, c, again, err)
		}
		if (c.Kex == 0) != (c.Cipher == 0) || (c.Kex == 0) != (c.KDF == 0) || (c.Kex == 0) != (c.Digest == 0) {
			t.Fatalf("%+v is neither on nor off", c)
		}
	})
}
