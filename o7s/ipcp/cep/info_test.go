// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// unhex decodes hexadecimal with white space in it.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectors are those of spec 10 §6.2.
var vectors = map[string]Info{
	"0a 0a 45 6e 72 6f 6c 6c 6d 65 6e 74 12 03 4f 45 50 18 01 28 00 40 00":                      {Component: Enrollment, Protocol: "OEP", Version: 1},
	"0a 0a 4d 61 6e 61 67 65 6d 65 6e 74 12 03 4c 53 50 18 01 28 00 40 f8 ac d1 91 01":          {Component: Management, Protocol: "LSP", Version: 1, Address: 0x12345678},
	"0a 0d 44 61 74 61 20 54 72 61 6e 73 66 65 72 12 03 64 74 70 18 01 28 02 40 f8 ac d1 91 01": {Component: DataTransfer, Protocol: "dtp", Version: 1, Syntax: 2, Address: 0x12345678},
	"0a 0d 44 61 74 61 20 54 72 61 6e 73 66 65 72 12 00 18 00 28 00 40 00":                      {Component: DataTransfer},
	"0a 00 12 00 18 00 28 00 40 00": {},
	"0a 0d 44 61 74 61 20 54 72 61 6e 73 66 65 72 12 00 18 00 28 00 40 00 a2 06 09 6f 37 01 01 04 00 00 00 05": {Component: DataTransfer, Ours: true, Caps: CapKeepalive | CapWithdraw},
}

func TestVectors(t *testing.T) {
	for text, want := range vectors {
		b := unhex(t, text)
		if got, err := Parse(b); err != nil || got != want {
			t.Errorf("%s: parsed %+v, %v; want %+v", text, got, err, want)
		}
		if got := want.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("%+v: % x, want %s", want, got, text)
		}
	}
	negative := Info{Component: "x", Version: -1, Syntax: -2}
	if got, err := Parse(negative.Append(nil)); err != nil || got != negative {
		t.Errorf("parsed %+v, %v", got, err)
	}
}

// The messages that we send can be read by a prototype whatever the address.
func TestMessagesFit(t *testing.T) {
	longest := Info{Component: DataTransfer, Protocol: "dtp", Version: 1, Syntax: 2, Address: 1<<64 - 1, Ours: true, Caps: 1<<32 - 1}
	if n := len(longest.Append(nil)); n > MaxMessage {
		t.Errorf("%d bytes", n)
	}
	for n := range 130 {
		name := strings.Repeat("n", n)
		no, ok := refusal(name)
		b := no.Append(nil)
		if ok && (len(b) > MaxMessage || n == 0) {
			t.Errorf("refusal of %d bytes for a name of %d", len(b), n)
		}
		if !ok && n > 0 && n < 100 {
			t.Errorf("no refusal for a name of %d bytes", n)
		}
		if want := (Info{Component: name}); ok && want.matches(no) == nil {
			t.Errorf("refusal agrees with %+v", want)
		}
	}
}

func TestParseUnknownFields(t *testing.T) {
	want := Info{Component: Management, Protocol: "LSP", Version: 1, Address: 7, Ours: true, Caps: CapLSBatch}
	known := want.Append(nil)
	number := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	for name, extra := range map[string][]byte{
		"supp_version": number(4, 3),
		"supp_syntax":  protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), []byte{1, 2}),
		"syntax_spec":  protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), []byte{8, 1}),
		"fixed32":      protowire.AppendFixed32(protowire.AppendTag(nil, 200, protowire.Fixed32Type), 1),
		"fixed64":      protowire.AppendFixed64(protowire.AppendTag(nil, 201, protowire.Fixed64Type), 1),
		"group":        protowire.AppendGroup(protowire.AppendTag(nil, 20, protowire.StartGroupType), 20, number(1, 2)),
		"high number":  number(1<<29-1, 1),
	} {
		for _, b := range [][]byte{append(bytes.Clone(known), extra...), append(bytes.Clone(extra), known...)} {
			if got, err := Parse(b); err != nil || got != want {
				t.Errorf("%s: parsed %+v, %v", name, got, err)
			}
		}
	}
	// The last of several counts, and any order will do.
	if got, err := Parse(append(number(fieldAddress, 99), known...)); err != nil || got != want {
		t.Errorf("address twice: parsed %+v, %v", got, err)
	}
	// What stands in our field but is no list is somebody else's.
	plain := want
	plain.Ours, plain.Caps = false, 0
	for _, other := range [][]byte{
		number(fieldCaps, 1),
		protowire.AppendBytes(protowire.AppendTag(nil, fieldCaps, protowire.BytesType), []byte("xy\x01")),
		protowire.AppendBytes(protowire.AppendTag(nil, fieldCaps, protowire.BytesType), []byte("o7\x02")),
		protowire.AppendBytes(protowire.AppendTag(nil, fieldCaps, protowire.BytesType), []byte("o7\x01\x01\x09\x00")),
		protowire.AppendBytes(protowire.AppendTag(nil, fieldCaps, protowire.BytesType), nil),
	} {
		if got, err := Parse(append(plain.Append(nil), other...)); err != nil || got != plain {
			t.Errorf("% x: parsed %+v, %v", other, got, err)
		}
	}
	// A list without bits is one.
	list := protowire.AppendBytes(protowire.AppendTag(nil, fieldCaps, protowire.BytesType), []byte("o7\x01"))
	if got, err := Parse(append(plain.Append(nil), list...)); err != nil || !got.Ours || got.Caps != 0 {
		t.Errorf("empty list: parsed %+v, %v", got, err)
	}
}

func TestParseRejects(t *testing.T) {
	good := Info{Component: Management, Protocol: "LSP", Version: 1, Address: 0x12345678}.Append(nil)
	bad := map[string][]byte{
		"nothing":         {},
		"too long":        append(bytes.Clone(good), protowire.AppendBytes(protowire.AppendTag(nil, 50, protowire.BytesType), make([]byte, 128-len(good)-3))...),
		"text as version": append(bytes.Clone(good), 3<<3|2, 1, 'x'),
		"number as name":  append(bytes.Clone(good), 1<<3, 1),
		"end group":       append(bytes.Clone(good), 20<<3|4&0x7f),
		"field 0":         append(bytes.Clone(good), 0, 0),
	}
	for n := range good {
		bad[fmt.Sprint("cut off at ", n)] = good[:n]
	}
	// Without each of its fields.
	for rest := good; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		at := len(good) - len(rest)
		bad[fmt.Sprint("without the field at ", at)] = append(bytes.Clone(good[:at]), good[at+n:]...)
		rest = rest[n:]
	}
	for name, b := range bad {
		if got, err := Parse(b); err == nil || got != (Info{}) {
			t.Errorf("%s: parsed %+v, %v", name, got, err)
		}
	}
	if n := len(bad["too long"]); n != 128 {
		t.Errorf("test of the length has %d bytes", n)
	}
}

func FuzzParse(f *testing.F) {
	for text := range vectors {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := Parse(b)
		if err != nil {
			if i != (Info{}) {
				t.Errorf("%+v with error %v", i, err)
			}
			return
		}
		again := i.Append(nil)
		if len(again) > MaxMessage { // a negative version came in fewer bytes
			return
		}
		if got, err := Parse(again); err != nil || got != i {
			t.Errorf("%+v became %+v, %v", i, got, err)
		}
	})
}
