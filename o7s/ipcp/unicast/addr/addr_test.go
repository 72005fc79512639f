// SPDX-License-Identifier: BSD-3-Clause

package addr

import (
	"bytes"
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// Zeros are drawn again; the bytes are in the order of the wire.
func TestFlat(t *testing.T) {
	a, err := Flat(bytes.NewReader([]byte{0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11}))
	if a != 0x11223344 || err != nil {
		t.Errorf("%x, %v", a, err)
	}
	for name, r := range map[string]io.Reader{
		"empty": bytes.NewReader(nil), "short": bytes.NewReader([]byte{1, 2, 3}),
		"broken": iotest.ErrReader(io.ErrClosedPipe), "zeros": bytes.NewReader(make([]byte, 1<<20)),
	} {
		if a, err := Flat(r); err == nil {
			t.Errorf("%s: %x", name, a)
		}
	}
	seen := map[uint64]bool{}
	for range 100 {
		a, err := Flat(rand.Reader)
		if err != nil || a == 0 || a>>32 != 0 || seen[a] {
			t.Fatalf("%x, %v", a, err)
		}
		seen[a] = true
	}
}

func TestText(t *testing.T) {
	for a, want := range map[uint64]string{
		0x11223344: "44.33.22.11", 1: "01.00.00.00", 0xffffffff: "ff.ff.ff.ff",
		0x0102030405060708: "08.07.06.05.04.03.02.01",
	} {
		if s := Text(a); s != want {
			t.Errorf("%x is %q, want %q", a, s, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(rapid.Uint64Min(1), rapid.Map(rapid.Uint32Min(1), func(x uint32) uint64 { return uint64(x) })).Draw(t, "address")
		if b, err := Parse(Text(a)); b != a || err != nil {
			t.Fatalf("%x, %v", b, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", "44.33.22", "44.33.22.11.00", "44.33.22.1", "44.33.22.011", "44.33.22.+1", "44.33.22.xx", "44:33:22:11", "00.00.00.00", "287454020"} {
		if a, err := Parse(s); err == nil {
			t.Errorf("%q: %x", s, a)
		}
	}
	if a, err := Parse("FF.0a.00.00"); a != 0xaff || err != nil {
		t.Errorf("%x, %v", a, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("44.33.22.11")
	f.Add("08.07.06.05.04.03.02.01")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		// Eight parts may be more than are needed.
		if text := strings.ToLower(s); Text(a) != text && Text(a)+".00.00.00.00" != text {
			t.Errorf("%q is %x, which is %q", s, a, Text(a))
		}
	})
}
