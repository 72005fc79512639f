// SPDX-License-Identifier: BSD-3-Clause

package cipher

import (
	"slices"
	"testing"
)

func TestTable(t *testing.T) {
	for i, c := range []struct {
		number        uint16
		name          string
		authenticated bool
	}{
		{904, "aes-128-ctr", false},
		{905, "aes-192-ctr", false},
		{906, "aes-256-ctr", false},
		{895, "aes-128-gcm", true},
		{898, "aes-192-gcm", true},
		{901, "aes-256-gcm", true},
		{1018, "chacha20-poly1305", true},
	} {
		n, ok := ByName(c.name)
		if !ok || n != c.number || Name(n) != c.name || !Known(n) || Rank(n) != i+1 || Authenticated(n) != c.authenticated {
			t.Errorf("%s: number %d, name %q, rank %d, authenticated %v", c.name, n, Name(n), Rank(n), Authenticated(n))
		}
		if !slices.Contains(Names(), c.name) {
			t.Errorf("%s is not in %q", c.name, Names())
		}
	}
	for _, n := range []uint16{0, 896, 0xffff} {
		if Known(n) || Name(n) != "" || Authenticated(n) {
			t.Errorf("%d is known", n)
		}
	}
	if n, ok := ByName("AES-128-GCM"); ok {
		t.Errorf("upper case is %d", n)
	}
}
