// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"bytes"
	"testing"

	"o7gw/o7s/packet"
)

// Vectors of spec 30 §4.1, and the whole packet of §3.14.
func TestCRC(t *testing.T) {
	for in, want := range map[string]string{
		"":          "00000000",
		"0":         "f4dbdf21",
		"123456789": "cbf43926",
		"987654321": "015f0201",
		"\x00":      "d202ef8d",
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
			if got := CheckCRC([]*packet.Buffer{buffer(bad), buffer(whole), buffer(whole[:i])}); len(got) != 1 {
				t.Errorf("%q: %d of three taken", in, len(got))
			} else {
				packet.ReleaseBatch(got)
			}
		}
	}
}
