// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"bytes"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of spec 20 §8.2, and the same link withdrawn.
func TestVectors(t *testing.T) {
	const text = "00000000aabbccdd" + "0000000011223344" + "0000000000000007"
	want := record{link: link{dst: 0xaabbccdd, src: 0x11223344}, seqno: 7}
	r, n, err := parseLSA(unhex(t, text))
	if r != want || n != 24 || err != nil {
		t.Errorf("announcement: %+v, %d, %v", r, n, err)
	}
	if b := want.appendLSA(nil); hex.EncodeToString(b) != text {
		t.Errorf("announcement: % x", b)
	}
	const gone = text + "6f37732d77647231"
	want.gone = true
	r, n, err = parseWithdrawal(unhex(t, gone))
	if r != want || n != 32 || err != nil {
		t.Errorf("withdrawal: %+v, %d, %v", r, n, err)
	}
	if b := want.appendWithdrawal(nil); hex.EncodeToString(b) != gone {
		t.Errorf("withdrawal: % x", b)
	}
}

func TestInvalidRecords(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"short":            "00000000aabbccdd00000000112233440000000000000",
		"no destination":   "000000000000000000000000112233440000000000000007",
		"no source":        "00000000aabbccdd00000000000000000000000000000007",
		"to itself":        "000000001122334400000000112233440000000000000007",
		"number too large": "00000000aabbccdd00000000112233448000000000000001",
	} {
		b, _ := hex.DecodeString(text)
		if r, _, err := parseLSA(b); err == nil {
			t.Errorf("%s: announcement %+v", name, r)
		}
		if r, _, err := parseWithdrawal(append(b, withdrawalMark...)); err == nil {
			t.Errorf("%s: withdrawal %+v", name, r)
		}
	}
	good := record{link: link{1, 2}, seqno: 3}
	if _, _, err := parseWithdrawal(append(good.appendLSA(nil), "o7s-wdr2"...)); err == nil {
		t.Error("a withdrawal with another mark")
	}
	if _, _, err := parseWithdrawal(append(good.appendWithdrawal(nil), 0)); err == nil {
		t.Error("a withdrawal that is too long")
	}
}

func anyRecord() *rapid.Generator[record] {
	return rapid.Custom(func(t *rapid.T) record {
		addr := rapid.Uint64Min(1)
		r := record{link: link{addr.Draw(t, "dst"), addr.Draw(t, "src")}, seqno: rapid.Uint64Max(maxSeqno).Draw(t, "seqno"), gone: rapid.Bool().Draw(t, "gone")}
		if r.src == r.dst {
			r.src = r.dst ^ 1<<40
		}
		return r
	})
}

func TestRecordsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord().Draw(t, "record")
		var got record
		var err error
		if r.gone {
			got, _, err = parseWithdrawal(r.appendWithdrawal(nil))
		} else {
			got, _, err = parseLSA(r.appendLSA(nil))
		}
		if got != r || err != nil {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}

func FuzzLSA(f *testing.F) {
	f.Add(record{link: link{1, 2}, seqno: 3}.appendLSA(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := parseLSA(b)
		if err == nil && !bytes.Equal(r.appendLSA(nil), b[:n]) {
			t.Errorf("% x becomes %+v", b, r)
		}
	})
}

func FuzzWithdrawal(f *testing.F) {
	f.Add(record{link: link{1, 2}, seqno: 3}.appendWithdrawal(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := parseWithdrawal(b)
		if err == nil && !bytes.Equal(r.appendWithdrawal(nil), b[:n]) {
			t.Errorf("% x becomes %+v", b, r)
		}
	})
}
