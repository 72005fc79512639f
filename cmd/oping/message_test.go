// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

func TestMessageBytes(t *testing.T) {
	p := make([]byte, minSize)
	putRequest(p, 0x01020304, 5*time.Second+6)
	const header = "00000000" + "01020304" + "0500000000000000" + "0600000000000000"
	if got := hex.EncodeToString(p); got != header+hex.EncodeToString(make([]byte, minSize-headerSize)) {
		t.Fatalf("request %s", got)
	}
	sent := bytes.Clone(p)
	if !answer(p) {
		t.Fatal("a request was not answered")
	}
	sent[3] = reply
	if !bytes.Equal(p, sent) {
		t.Fatal("the server changed more than the type")
	}
	if answer(p) {
		t.Error("a reply was answered")
	}
	id, rtt, ok := parseReply(p, 5*time.Second+106)
	if id != 0x01020304 || rtt != 100 || !ok {
		t.Errorf("reply: id %x, rtt %v, %v", id, rtt, ok)
	}
	if _, _, ok := parseReply(p, 5*time.Second); ok {
		t.Error("took a reply from the future")
	}
}

func FuzzParseReply(f *testing.F) {
	p := make([]byte, minSize)
	putRequest(p, 7, time.Second)
	answer(p)
	f.Add(p, int64(2*time.Second))
	f.Add(p[:headerSize-1], int64(1))
	f.Fuzz(func(t *testing.T, p []byte, now int64) {
		if now < 0 {
			return
		}
		if _, rtt, ok := parseReply(p, time.Duration(now)); ok && (rtt < 0 || rtt > time.Duration(now)) {
			t.Fatalf("rtt %v at %v", rtt, time.Duration(now))
		}
		if n := len(p); answer(p) && len(p) != n {
			t.Fatal("length changed")
		}
	})
}
