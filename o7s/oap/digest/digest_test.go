// SPDX-License-Identifier: BSD-3-Clause

package digest

import (
	"encoding/hex"
	"testing"
)

// Digests of "abc" as published in FIPS 180-4, FIPS 202 and RFC 7693.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		md   uint16
		name string
		rank int
		size int
		abc  string // first 8 bytes
	}{
		{1057, "blake2s256", 1, 32, "508c5e8c327c14e2"},
		{672, "sha256", 2, 32, "ba7816bf8f01cfea"},
		{1097, "sha3-256", 3, 32, "3a985da74fe225b2"},
		{673, "sha384", 4, 48, "cb00753f45a35e8b"},
		{1098, "sha3-384", 5, 48, "ec01498288516fc9"},
		{1056, "blake2b512", 6, 64, "ba80a53f981c4d0d"},
		{674, "sha512", 7, 64, "ddaf35a193617aba"},
		{1099, "sha3-512", 8, 64, "b751850b1a57168a"},
	} {
		h := New(c.md)
		if h == nil {
			t.Errorf("%s: unknown", c.name)
			continue
		}
		h.Write([]byte("abc"))
		sum := h.Sum(nil)
		if got := hex.EncodeToString(sum[:8]); got != c.abc || len(sum) != c.size || Size(c.md) != c.size {
			t.Errorf("%s: %s, %d bytes, size %d", c.name, got, len(sum), Size(c.md))
		}
		if n, ok := ByName(c.name); !ok || n != c.md || Name(c.md) != c.name || Rank(c.md) != c.rank || !Known(c.md) {
			t.Errorf("%s: number %d, name %q, rank %d", c.name, n, Name(c.md), Rank(c.md))
		}
		if Names()[c.rank-1] != c.name {
			t.Errorf("%s: names are %q", c.name, Names())
		}
	}
}

func TestUnknown(t *testing.T) {
	for _, md := range []uint16{0, 1, 1096, 0xffff} {
		if New(md) != nil || Func(md) != nil || Size(md) != 0 || Rank(md) != 0 || Name(md) != "" || Known(md) {
			t.Errorf("%d is known", md)
		}
	}
	if md, ok := ByName("SHA256"); ok {
		t.Errorf("SHA256 is %d", md)
	}
}
