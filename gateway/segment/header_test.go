// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The examples of docs/segment.md.
var golden = []struct {
	name, bytes string
	h           header
}{
	{"frame", "e110000100000007" + "0123456789abcdef", header{typ: typeFrame, count: 1, seq: 7, id: 0x0123456789abcdef}},
	{"relayed", "e112000100000007" + "0123456789abcdef", header{typ: typeFrame, hops: 2, count: 1, seq: 7, id: 0x0123456789abcdef}},
	{"fragment", "e110010200000008" + "0123456789abcdef" + "05ea", header{typ: typeFrame, index: 1, count: 2, seq: 8, id: 0x0123456789abcdef, total: 1514}},
	{"hello", "e120000000000000" + "0123456789abcdef", header{typ: typeHello, id: 0x0123456789abcdef}},
}

func TestGoldenHeaders(t *testing.T) {
	for _, g := range golden {
		want, err := hex.DecodeString(g.bytes)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		g.h.put(got)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", g.name, got, want)
		}
		h, n, err := parseHeader(append(want, "rest"...))
		if err != nil || n != len(want) || h != g.h {
			t.Errorf("%s: parsed %+v, %d, %v", g.name, h, n, err)
		}
		for i := range want {
			if _, _, err := parseHeader(want[:i]); err == nil {
				t.Errorf("%s: %d bytes are enough", g.name, i)
			}
		}
	}
}

func TestMalformedHeaders(t *testing.T) {
	for _, s := range []string{
		"e210000100000007" + "0123456789abcdef", // version
		"4510000100000007" + "0123456789abcdef",
		"e110000100000007" + "0000000000000000", // nobody
		"e110000000000007" + "0123456789abcdef",
		"e110010100000007" + "0123456789abcdef",
		"e110020200000007" + "0123456789abcdef" + "0100",
		"e110004100000007" + "0123456789abcdef" + "ffff", // 65 fragments
	} {
		b, _ := hex.DecodeString(s)
		if h, _, err := parseHeader(b); err == nil {
			t.Errorf("%s: %+v", s, h)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, g := range golden {
		b, _ := hex.DecodeString(g.bytes)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseHeader(b)
		if err != nil {
			return
		}
		if n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if h.typ != typeFrame {
			return
		}
		again := make([]byte, n)
		h.put(again)
		if !bytes.Equal(again, b[:n]) {
			t.Fatalf("%x becomes %x", b[:n], again)
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	f.Add(frame(everybody, host(1), 60, 0))
	f.Add(tagged(frame(host(2), host(1), 60, 0), 77))
	f.Add(tagged(frame(host(2), host(1), 60, 0), 77)[:16])
	f.Fuzz(func(t *testing.T, b []byte) {
		dst, src, ok := parseFrame(b)
		if !ok {
			return
		}
		if src.group() || src.mac() == 0 || dst.vlan() != src.vlan() {
			t.Fatalf("%v from %v", dst, src)
		}
		if dst.group() != (b[0]&1 == 1) {
			t.Fatalf("%v is a group: %v", dst, dst.group())
		}
	})
}

func TestStations(t *testing.T) {
	d, s, ok := parseFrame(tagged(frame([6]byte{1, 0x80, 0xC2, 0, 0, 2}, [6]byte{2, 0xab, 0, 0, 0, 0xef}, 60, 0), 0xF123))
	if !ok || s.String() != "02:ab:00:00:00:ef vlan 291" || !d.group() || !d.linkLocal() || s.group() {
		t.Errorf("%v %v %v", d, s, ok)
	}
	for last, local := range map[byte]bool{0: false, 1: true, 0x0E: true, 0x10: false} {
		d, _, _ := parseFrame(frame([6]byte{1, 0x80, 0xC2, 0, 0, last}, host(1), 60, 0))
		if d.linkLocal() != local {
			t.Errorf("%v stays on its link: %v", d, d.linkLocal())
		}
	}
	for _, bad := range [][]byte{
		nil, make([]byte, 13), frame(host(1), [6]byte{}, 60, 0), frame(host(1), everybody, 60, 0),
		frame(host(1), [6]byte{1, 0, 0x5e, 0, 0, 1}, 60, 0), tagged(frame(host(1), host(2), 60, 0), 5)[:17],
	} {
		if _, _, ok := parseFrame(bad); ok {
			t.Errorf("%x is a frame", bad)
		}
	}
}
