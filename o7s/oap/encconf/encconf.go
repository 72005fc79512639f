// SPDX-License-Identifier: BSD-3-Clause

// Package encconf reads enc.conf, the file that says how the flows of one name
// are encrypted (spec 30 §6.11), and one key of our own:
//
//	require = encryption | authentication | encryption,authentication
//
// A flow that lacks what is required is refused. The prototype ignores the key;
// unlike all others it holds together with "none" too.
//
// Start with Parse.
package encconf

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/digest"
	"o7gw/o7s/oap/kex"
)

// Config is the content of one enc.conf. The zero value is that of a file
// with the line "none": no key exchange, and nothing required.
type Config struct {
	Kex    kex.Algorithm // 0: none, and the three below are 0 too
	Cipher uint16        // a number of package cipher
	KDF    uint16        // a number of package digest
	Digest uint16        // likewise, of signatures
	// ClientEncap tells a client to encapsulate to the server's static key,
	// which it has in a file. It matters for KEMs only.
	ClientEncap bool

	RequireEncryption     bool
	RequireAuthentication bool
}

// Default is what an empty file says.
func Default() *Config {
	return &Config{Kex: kex.Prime256v1, Cipher: cipher.AES256GCM, KDF: digest.SHA256, Digest: digest.SHA256}
}

// maxLine is the longest line in bytes. The prototype cuts longer ones into
// pieces and takes each for a line; nothing good can come of that.
const maxLine = 255

// Parse reads a file. Later lines win. Lines that are no assignment, and keys
// that are not known, are ignored, as the prototype does; a value that is not
// known is an error that says which are.
func Parse(text []byte) (*Config, error) {
	c := Default()
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if len(line) > maxLine {
			return nil, fmt.Errorf("parse enc.conf: line %d: longer than %d bytes", n, maxLine)
		}
		if err := c.line(string(line)); err != nil {
			return nil, fmt.Errorf("parse enc.conf: line %d: %w", n, err)
		}
	}
	c.complete()
	return c, nil
}

// none switches the key exchange off.
func (c *Config) none() {
	*c = Config{RequireEncryption: c.RequireEncryption, RequireAuthentication: c.RequireAuthentication}
}

// complete settles what came behind a "none": nothing without a key exchange,
// and all of it with one.
func (c *Config) complete() {
	if c.Kex == 0 {
		c.none()
		return
	}
	def := Default()
	for _, f := range []struct{ value, def *uint16 }{{&c.Cipher, &def.Cipher}, {&c.KDF, &def.KDF}, {&c.Digest, &def.Digest}} {
		if *f.value == 0 {
			*f.value = *f.def
		}
	}
}

func (c *Config) line(line string) (err error) {
	key, value, assigned := strings.Cut(line, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !assigned {
		if key == "none" {
			c.none()
		}
		return nil
	}
	switch key {
	case "kex":
		c.Kex, err = lookup(key, value, kex.ByName, kex.Names)
	case "cipher":
		c.Cipher, err = lookup(key, value, cipher.ByName, cipher.Names)
	case "kdf":
		c.KDF, err = lookup(key, value, digest.ByName, digest.Names)
	case "digest":
		c.Digest, err = lookup(key, value, digest.ByName, digest.Names)
	case "kem_mode":
		c.ClientEncap, err = lookup(key, value,
			func(s string) (client, ok bool) { return s == "client", s == "client" || s == "server" },
			func() []string { return []string{"server", "client"} })
	case "require":
		c.RequireEncryption, c.RequireAuthentication, err = ParseRequire(value)
	}
	return err
}

func lookup[T any](key, value string, find func(string) (T, bool), known func() []string) (v T, err error) {
	v, ok := find(value)
	if !ok {
		err = fmt.Errorf("%s = %q is not known; possible: %s", key, value, strings.Join(known(), ", "))
	}
	return v, err
}

// ParseRequire reads a list of what flows of a name must have, separated by
// commas; "" requires nothing. Users write the same list in other places too.
func ParseRequire(list string) (encryption, authentication bool, err error) {
	for what := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(what) {
		case "encryption":
			encryption = true
		case "authentication":
			authentication = true
		case "":
		default:
			return false, false, fmt.Errorf("require = %q is not known; possible: encryption, authentication, or both with a comma", list)
		}
	}
	return encryption, authentication, nil
}

// String returns the file that says the same.
func (c *Config) String() string {
	var lines []string
	if c.Kex == 0 {
		lines = append(lines, "none")
	} else {
		lines = append(lines, "kex = "+c.Kex.String(), "cipher = "+cipher.Name(c.Cipher),
			"kdf = "+digest.Name(c.KDF), "digest = "+digest.Name(c.Digest))
		if c.ClientEncap {
			lines = append(lines, "kem_mode = client")
		}
	}
	var require []string
	if c.RequireEncryption {
		require = append(require, "encryption")
	}
	if c.RequireAuthentication {
		require = append(require, "authentication")
	}
	if len(require) > 0 {
		lines = append(lines, "require = "+strings.Join(require, ","))
	}
	return strings.Join(slices.Concat(lines, []string{""}), "\n")
}
