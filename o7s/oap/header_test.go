// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/oap/digest"
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

// Vectors of spec 30 §6.13.
const (
	fixedPart = "101112131415161718191a1b1c1d1e1f 18867251f555cd15"

	requestA  = fixedPart + "0000 0000 0000 0000 0000 0000"
	responseA = requestA + `887de072a4096bbc2470f473b6035418ab6a23c5642ca1d9
		941cbe36213c32c5ac6d62eca1a36956e6b05e0aeb2c08ba`

	requestB = fixedPart + `0385 02a0 02a0 0000 002c 0000
		302a300506032b656e032100
		8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f`
	responseB = fixedPart + `0385 02a0 0000 0000 002c 0000
		302a300506032b656e032100
		358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254
		603f093aac998372898bc18384142baf044b32d9220054f0f3ddd57fccbdb0b3`

	requestC = fixedPart + `0385 02a0 02a0 0000 005b 0000
		3059301306072a8648ce3d020106082a8648ce3d03010703420004
		7a593180860c4037c83c12749845c8ee1424dd297fadcb895e358255d2c7d2b2
		a8ca25580f2626fe579062ff1b99ff91c24a0da06fb32b5be20148c9249f5650`
	responseC = fixedPart + `0385 02a0 02a0 0000 005b 0000
		3059301306072a8648ce3d020106082a8648ce3d03010703420004
		c6559d416dfb56af714f146d917c24abf818b2fb121604129649848230a2d258
		b2a6d82dc6c6734cf092ffaa9fc012f10f7008d3952a08d5797e85feaba5d977
		fb1ac75a7d2f98eca71497e2f1cab2a1694da087213f7ffb26ad02db8c01841c`
)

func TestHeaderVectors(t *testing.T) {
	// (d) is given by its numbers and lengths only.
	responseD := append(unhex(t, fixedPart+"03fa 044b 02a0 013b 005b 0000"), bytes.Repeat([]byte{0xdd}, 315+91+32+70)...)
	for _, v := range []struct {
		name                            string
		request, response               []byte
		cipher, kdf, md, responseMD     uint16
		kexReq, kexResp, cert, sig, all int
	}{
		{"a", unhex(t, requestA), unhex(t, responseA), 0, 0, 0, 0, 0, 0, 0, 0, 84},
		{"b", unhex(t, requestB), unhex(t, responseB), 901, digest.SHA256, digest.SHA256, 0, 44, 44, 0, 0, 112},
		{"c", unhex(t, requestC), unhex(t, responseC), 901, digest.SHA256, digest.SHA256, digest.SHA256, 91, 91, 0, 0, 159},
		{"d", unhex(t, requestC), responseD, 1018, digest.SHA3_512, digest.SHA256, digest.SHA256, 91, 91, 315, 70, 544},
	} {
		t.Run(v.name, func(t *testing.T) {
			q, err := Parse(v.request, 0)
			if err != nil {
				t.Fatal(err)
			}
			if q.Timestamp != 0x18867251f555cd15 || q.ID[0] != 0x10 || q.ID[15] != 0x1f ||
				q.MD != v.md || len(q.Kex) != v.kexReq || q.KexFlags != 0 || len(q.Cert)+len(q.Data)+len(q.ReqHash)+len(q.Sig) != 0 {
				t.Errorf("request: %+v", q)
			}
			hash := requestHash(q.MD, v.request)
			r, err := Parse(v.response, len(hash))
			if err != nil {
				t.Fatal(err)
			}
			if len(v.response) != v.all || r.Cipher != v.cipher || r.KDF != v.kdf || r.MD != v.responseMD ||
				len(r.Kex) != v.kexResp || len(r.Cert) != v.cert || len(r.Sig) != v.sig {
				t.Errorf("response: %+v", r)
			}
			if v.name != "d" && !bytes.Equal(r.ReqHash, hash) {
				t.Errorf("request hash %x, want %x", r.ReqHash, hash)
			}
			if !bytes.Equal(q.Append(nil), v.request) || !bytes.Equal(r.Append(nil), v.response) {
				t.Error("appending does not give the same bytes")
			}
		})
	}
}

// message is an OAP message from a capture.
type message struct {
	session string
	request bool
	bytes   []byte
}

func captured(t testing.TB) (all []message) {
	t.Helper()
	text, err := os.ReadFile("testdata/captures.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 {
			all = append(all, message{f[0], f[1] == "request", unhex(t, f[2])})
		}
	}
	if len(all) != 14 {
		t.Fatalf("%d messages, want 14", len(all))
	}
	return all
}

// Every OAP message of the captures decodes, encodes to the same bytes, and
// each response repeats the hash of its request.
func TestCaptureMessages(t *testing.T) {
	var hash []byte // of the latest request
	for _, m := range captured(t) {
		want := hash
		if m.request {
			want = nil
		}
		h, err := Parse(m.bytes, len(want))
		if err != nil {
			t.Errorf("%s: %v", m.session, err)
			continue
		}
		if !bytes.Equal(h.ReqHash, want) {
			t.Errorf("%s: request hash %x, want %x", m.session, h.ReqHash, want)
		}
		if got := h.Append(nil); !bytes.Equal(got, m.bytes) {
			t.Errorf("%s: %x encodes to %x", m.session, m.bytes, got)
		}
		if auth := strings.Contains(m.session, "auth") && !m.request; auth != (len(h.Cert) == 318) || auth != (len(h.Sig) > 0) {
			t.Errorf("%s: certificate %d, signature %d bytes", m.session, len(h.Cert), len(h.Sig))
		}
		if m.request {
			hash = requestHash(h.MD, m.bytes)
		}
	}
}

// The plain messages of the prototype are what our own code makes and takes.
func TestCapturePlainExchange(t *testing.T) {
	all := captured(t)
	for i := 0; i < len(all); i += 2 {
		q, r := all[i], all[i+1]
		if len(q.bytes) != HeaderSize || len(r.bytes) != HeaderSize+48 {
			continue // encrypted or authenticated
		}
		h, err := Parse(q.bytes, 0)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(0, int64(h.Timestamp))
		c := request(t, now, bytes.NewReader(h.ID[:]), nil, nil)
		if !bytes.Equal(c.Request(), q.bytes) {
			t.Errorf("%s: request %x", q.session, c.Request())
		}
		if _, err := c.Finish(now, r.bytes); err != nil {
			t.Errorf("%s: %v", q.session, err)
		}
		var s Server
		p, err := s.Accept(now, q.bytes)
		if err != nil {
			t.Fatal(err)
		}
		if h, err = Parse(r.bytes, 48); err != nil {
			t.Fatal(err)
		}
		if _, got := answer(t, time.Unix(0, int64(h.Timestamp)), nil, p, nil, nil); !bytes.Equal(got, r.bytes) {
			t.Errorf("%s: response %x", q.session, got)
		}
	}
}

func TestHeaderRefusals(t *testing.T) {
	good := unhex(t, requestB)
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, c := range map[string]struct {
		msg     []byte
		hashLen int
	}{
		"empty":                  {nil, 0},
		"35 bytes":               {good[:35], 0},
		"unknown cipher":         {change(24, 0, 1), 0},
		"unknown kdf":            {change(26, 0x04, 0x48), 0}, // 1096 is not SHA-3
		"unknown digest":         {change(28, 0xff, 0xff), 0},
		"certificate beyond":     {change(30, 0xff, 0xff), 0},
		"key exchange beyond":    {change(32, 0, 45), 0},
		"data beyond":            {change(34, 0, 1), 0},
		"no room for hash":       {good, 48},
		"uncounted bytes behind": {append(bytes.Clone(good), 1), 0},
	} {
		if h, err := Parse(c.msg, c.hashLen); err == nil {
			t.Errorf("%s: accepted as %+v", name, h)
		}
	}
}

func TestHeaderFlags(t *testing.T) {
	h := Header{KexFlags: KexRaw | KexClient, Kex: make([]byte, maxKex), Cert: []byte("c"), Data: []byte("d"), Sig: []byte("s")}
	got, err := Parse(h.Append(nil), 0)
	if err != nil || got.KexFlags != h.KexFlags || len(got.Kex) != maxKex || string(got.Cert)+string(got.Data)+string(got.Sig) != "cds" {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestHeaderTooLongPanics(t *testing.T) {
	for _, h := range []Header{{Kex: make([]byte, maxKex+1)}, {Cert: make([]byte, maxField+1)}, {Data: make([]byte, maxField+1)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("length was cut silently")
				}
			}()
			h.Append(nil)
		}()
	}
}

func FuzzHeader(f *testing.F) {
	for _, v := range []string{requestA, responseA, requestB, responseB, requestC, responseC} {
		f.Add(unhex(f, v), uint8(0))
		f.Add(unhex(f, v), uint8(32))
		f.Add(unhex(f, v), uint8(48))
	}
	for _, m := range captured(f) {
		f.Add(m.bytes, uint8(48))
	}
	f.Fuzz(func(t *testing.T, b []byte, hashLen uint8) {
		h, err := Parse(b, int(hashLen))
		if err != nil {
			return
		}
		if len(h.ReqHash) != int(hashLen) || len(h.Cert) == 0 && len(h.Sig) > 0 {
			t.Fatalf("%+v", h)
		}
		if got := h.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x encodes to %x", b, got)
		}
	})
}
