// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestMessageBytes(t *testing.T) {
	for k, want := range map[kind]string{uni: "00000000", bi: "01000000"} {
		if got := hex.EncodeToString(k.config()); got != want {
			t.Errorf("%v: %s", k, got)
		}
	}
	p := make([]byte, 6)
	putNumber(p, 0x1_0203_0405)
	if want := []byte{5, 4, 3, 2, 0, 0}; !bytes.Equal(p, want) {
		t.Errorf("message % x", p)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{2, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		if k, ok := parseConfig(p); ok && !bytes.Equal(k.config(), p) {
			t.Errorf("% x was taken as %v", p, k)
		}
		n, ok := number(p)
		if ok != (len(p) >= numberSize) {
			t.Errorf("% x: number %v", p, ok)
		}
		if again := bytes.Clone(p); ok {
			putNumber(again, uint64(n))
			if !bytes.Equal(again, p) {
				t.Errorf("% x: number %d", p, n)
			}
		}
	})
}
