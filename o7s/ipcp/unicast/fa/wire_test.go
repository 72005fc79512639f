// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"o7gw/o7s/qos"
)

// unhex reads bytes as the spec prints them.
func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectors are those of spec 20 §6.8 without the PCI, and ours of
// docs/extensions.md.
var vectors = []struct {
	name string
	hex  string
	want message
}{
	{"request", `00 00 00 00 11 22 33 44  00 00 00 00 00 00 00 00  5a 6b 7c 8d 00 00 00 46
		ff ff ff ff ff ff ff ff  00 00 00 00  00 00 00 64  00 00 00 01  00 00 00 01
		00 00 00 64  00 01 d4 c0  00 00  00  03  01
		42 de e3 b0 41 5b 4f 69 0f d9 1c bd 99 87 6f 1e
		9b d8 d9 74 5e f7 fa 32 b1 42 77 3a f0 34 9d 54
		de ad be ef`,
		request{source: 0x11223344, eid: 0x5A6B7C8D00000046, qos: qos.Video, dst: oping, data: []byte("\xde\xad\xbe\xef")}},
	{"reply", `00 00 00 00 00 00 00 00  5a 6b 7c 8d 00 00 00 46  0f 1e 2d 3c 00 00 00 52
		00 00 00 00 00 00 00 00  00 00 00 00
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
		00 00 01 00 00  ca fe`,
		reply{eid: 0x5A6B7C8D00000046, peerEID: 0x0F1E2D3C00000052, data: []byte("\xca\xfe")}},
	{"refusal", `00 00 00 00 00 00 00 00  5a 6b 7c 8d 00 00 00 46  0f 1e 2d 3c 00 00 00 52
		00 00 00 00 00 00 00 00  ff ff ff ff
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
		00 00 01 00 00`,
		reply{eid: 0x5A6B7C8D00000046, peerEID: 0x0F1E2D3C00000052, response: -1, data: []byte{}}},
	{"update", `00 00 00 00 00 00 00 00  5a 6b 7c 8d 00 00 00 46  00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00  00 00 00 00
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
		01 00 02 00 00`,
		update{eid: 0x5A6B7C8D00000046, ece: 256}},
	{"teardown", `00 00 00 00 aa bb cc dd  5a 6b 7c 8d 00 00 00 46  0f 1e 2d 3c 00 00 00 52
		00 00 00 00 00 00 00 00  00 00 00 00
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
		00 00 03 00 00`,
		teardown{source: 0xAABBCCDD, eid: 0x5A6B7C8D00000046, peerEID: 0x0F1E2D3C00000052}},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		b := unhex(t, v.hex)
		m, err := parse(b, len(oping))
		if err != nil || !reflect.DeepEqual(m, v.want) {
			t.Errorf("%s: %+v, %v, want %+v", v.name, m, err, v.want)
			continue
		}
		if got := m.append(nil); !bytes.Equal(got, b) {
			t.Errorf("%s: encoded\n% x, want\n% x", v.name, got, b)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	req := vectors[0].want.append(nil)
	bad := func(b []byte, want error) {
		t.Helper()
		if m, err := parse(b, len(oping)); err != want {
			t.Errorf("%d bytes: %+v, %v", len(b), m, err)
		}
	}
	bad(nil, errLength)
	bad(req[:headerLen-1], errLength)
	bad(req[:headerLen+len(oping)-1], errLength)
	bad(append(req, make([]byte, maxMessage)...), errLength)
	for _, code := range []byte{4, 5, 255} {
		b := bytes.Clone(req)
		b[58] = code
		bad(b, errCode)
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(unhex(f, v.hex), uint8(32))
	}
	f.Fuzz(func(t *testing.T, b []byte, hashLen uint8) {
		m, err := parse(b, int(hashLen))
		if err != nil {
			return
		}
		e := m.append(nil)
		again, err := parse(e, int(hashLen))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
