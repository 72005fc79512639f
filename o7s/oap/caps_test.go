// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"strings"
	"testing"

	"o7gw/o7s/layer"
)

func TestCaps(t *testing.T) {
	b := AppendCaps(nil, layer.CapTeardown)
	if want := unhex(t, "6f37 01 01 04 00000001"); !bytes.Equal(b, want) {
		t.Fatalf("list is %x, want %x", b, want)
	}
	for _, c := range []struct {
		name string
		data string
		want layer.Caps
		ok   bool
	}{
		{"own", string(b), layer.CapTeardown, true},
		{"nothing", "", 0, false},
		{"of an application", "hello, server", 0, false},
		{"no entries", "o7\x01", 0, true},
		{"later version", "o7\x02\x01\x04\x00\x00\x00\x01", 0, false},
		{"unknown bits", "o7\x01\x01\x04\x80\x00\x00\x01", 1<<31 | layer.CapTeardown, true},
		{"short value", "o7\x01\x01\x01\x01", layer.CapTeardown, true},
		{"long value", "o7\x01\x01\x06\xff\xff\x00\x00\x00\x01", layer.CapTeardown, true},
		{"unknown entry first", "o7\x01\x77\x03abc\x01\x01\x01", layer.CapTeardown, true},
		{"entry without length", "o7\x01\x01", 0, false},
		{"entry beyond the end", "o7\x01\x01\x05\x00\x00\x00\x01", 0, false},
		{"longest", "o7\x01\x01\x01\x01\x77\x38" + strings.Repeat("x", 56), layer.CapTeardown, true},
		{"too long", "o7\x01\x01\x01\x01\x77\x39" + strings.Repeat("x", 57), 0, false},
	} {
		if got, ok := ParseCaps([]byte(c.data)); got != c.want || ok != c.ok {
			t.Errorf("%s: %#x, %v; want %#x, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func FuzzCaps(f *testing.F) {
	f.Add(AppendCaps(nil, layer.CapTeardown))
	f.Add([]byte("o7\x01\x77\x03abc\x01\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := ParseCaps(b); ok {
			if got, ok := ParseCaps(AppendCaps(nil, c)); !ok || got != c {
				t.Fatalf("%#x became %#x", c, got)
			}
		} else if c != 0 {
			t.Fatalf("%#x from what is no list", c)
		}
	})
}
