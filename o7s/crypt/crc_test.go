// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"bytes"
	"testing"

	"o7gw/o7s/packet"
)

// Vectors of spec 30 §4.1, the whole packet of §3.14, and an encrypted one of §5.6.
func TestCRC(t *testing.T) {
	for in, want := range map[string]string{
		"":          "00000000",
		"0":         "f4dbdf21",
		"123456789": "cbf43926",
		"987654321": "015f0201",
		"\x00":      "d202ef8d",

		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00":                                                                   "7bd5c66f",
		string(unhex(t, "20a1a2a3a4a5a6a7a8a9aaab51e5e6fdde5a39244d481aa7d442da3f39a4a03e5ef8078c57bf76c4cd6d614ca9d86570")): "0304d164",

		"ping":      "25d53dfd",
		"ouroboros": "ff9d910a",
		"\x03\x00\x00\x00\x12\x34\x56\x78\x00\x00\x00\x00ouroboro": "40adf32f",
	} {
		b := buffer([]byte(in))
		AppendCRC([]*packet.Buffer{b})
		whole := bytes.Clone(b.Bytes())
		if string(whole) != in+string(unhex(t, want)) {
			t.Errorf("%q: %x, want %s", in, whole, want)
		}
		if got := CheckCRC([]*packet.Buffer{b}); len(got) != 1 || string(got[0].Bytes()) != in {
			t.Errorf("%q is refused", in)
		} else {
			b.Release()
		}
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 4
			cut := whole[:i]
			want := 1
			if bytes.Equal(cut, make([]byte, CRCLen)) {
				want = 2 // the CRC of nothing
			}
			if got := CheckCRC([]*packet.Buffer{buffer(bad), buffer(whole), buffer(cut)}); len(got) != want {
				t.Errorf("%q: %d of three taken", in, len(got))
			} else {
				packet.ReleaseBatch(got)
			}
		}
	}
}
