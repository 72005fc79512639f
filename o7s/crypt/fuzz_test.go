// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"bytes"
	"testing"

	"o7gw/o7s/packet"
)

// FuzzOpen gives a Box bytes from outside, together with good packets before and
// behind. With the key known an attacker could make packets that open, so only
// those that equal the good one may.
func FuzzOpen(f *testing.F) {
	good := boxEnd{newBox(f, Config{Cipher: AES256GCM, Random: bytes.NewReader(make([]byte, 64))})}.seal([]byte("good"))
	f.Add(good, true)
	f.Add(good, false)
	f.Add(good[:Overhead-1], true)
	f.Add([]byte{}, false)
	f.Add(bytes.Repeat([]byte{0xff}, 100), true)
	f.Fuzz(func(t *testing.T, b []byte, sequenced bool) {
		if len(b) > packet.MaxPayload {
			t.Skip()
		}
		client, server := ends(t, AES256GCM, sequenced, testEpoch)
		for range lost + 1 {
			first, last := buffer([]byte("first")), buffer([]byte("last"))
			client.Seal([]*packet.Buffer{first, last})
			got := server.Open([]*packet.Buffer{first, buffer(b), last})
			if len(got) < 2 || string(got[0].Bytes()) != "first" || string(got[len(got)-1].Bytes()) != "last" {
				t.Fatalf("good packets are refused, %d opened", len(got))
			}
			if len(got) == 3 && !bytes.Equal(b, good) {
				t.Fatalf("opened %x", b)
			}
			packet.ReleaseBatch(got)
		}
		if s := server.Stats(); s.Opened+s.Short+s.Forged+s.Reflected+s.Replayed != 3*(lost+1) {
			t.Fatalf("packets are missing: %+v", s)
		}
	})
}

// FuzzCheckCRC: what passes has its own CRC as trailer, and keeps its bytes.
func FuzzCheckCRC(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte("ping\x25\xd5\x3d\xfd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > packet.MaxPayload {
			t.Skip()
		}
		got := CheckCRC([]*packet.Buffer{buffer(b)})
		if len(got) == 0 {
			return
		}
		AppendCRC(got)
		if !bytes.Equal(got[0].Bytes(), b) {
			t.Fatalf("%x became %x", b, got[0].Bytes())
		}
		got[0].Release()
	})
}
