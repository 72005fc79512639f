// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of spec 20 §3.1 and §3.8.
func TestHeaderVectors(t *testing.T) {
	for _, v := range []struct {
		f    Format
		h    Header
		wire string
	}{
		{4, Header{0xAABBCCDD, 0, 60, 2, 0x0F1E2D3C00000052}, "ddccbbaa003c02520000003c2d1e0f"},
		{8, Header{0x0102030405060708, 1, 255, 3, 0x1112131415161718}, "080706050403020101ff031817161514131211"},
		{1, Header{0xAB, 2, 1, 0, 0}, "ab0201000000000000000000"},
		{3, Header{0xABCDEF, 200, 0, 255, 1}, "efcdabc800ff0100000000000000"},
	} {
		b := bytes.Repeat([]byte{0x55}, v.f.Len())
		v.f.Put(b, v.h)
		if !bytes.Equal(b, unhex(t, v.wire)) {
			t.Errorf("A = %d: put %x, want %s", v.f, b, v.wire)
		}
		if h, ok := v.f.Parse(append(b, "payload"...)); !ok || h != v.h {
			t.Errorf("A = %d: parsed %+v, want %+v", v.f, h, v.h)
		}
	}
}

func TestHeaderSizes(t *testing.T) {
	for f := Format(1); f <= 8; f++ {
		if f.Len() != int(f)+11 {
			t.Errorf("A = %d: header of %d bytes", f, f.Len())
		}
		if _, ok := f.Parse(make([]byte, f.Len()-1)); ok {
			t.Errorf("A = %d: parsed a header cut off", f)
		}
		// Only the low bytes of an address travel, and nothing behind the
		// header is written.
		b := bytes.Repeat([]byte{0x55}, f.Len()+1)
		f.Put(b, Header{Dst: 0x8877665544332211})
		h, _ := f.Parse(b)
		if want := uint64(0x8877665544332211) << (64 - 8*f) >> (64 - 8*f); h.Dst != want || h.Cube != 0 || h.EID != 0 {
			t.Errorf("A = %d: %+v", f, h)
		}
		if b[f.Len()] != 0x55 {
			t.Errorf("A = %d: written behind the header", f)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(uint8(4), []byte("\xdd\xcc\xbb\xaa\x00\x3c\x02\x52\x00\x00\x00\x3c\x2d\x1e\x0fhello"))
	f.Add(uint8(8), make([]byte, 19))
	f.Add(uint8(1), make([]byte, 11))
	f.Fuzz(func(t *testing.T, size uint8, b []byte) {
		format := Format(size%8 + 1)
		h, ok := format.Parse(b)
		if ok != (len(b) >= format.Len()) {
			t.Fatalf("A = %d, %d bytes: %v", format, len(b), ok)
		}
		if !ok {
			return
		}
		again := make([]byte, format.Len())
		if format.Put(again, h); !bytes.Equal(again, b[:format.Len()]) {
			t.Fatalf("A = %d: %x became %x", format, b[:format.Len()], again)
		}
	})
}
