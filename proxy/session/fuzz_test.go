// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"testing"
	"time"
)

func FuzzRequest(f *testing.F) {
	for _, g := range golden {
		f.Add(g.req.Append(nil))
	}
	f.Add((&Request{Proto: TCP, Host: "h"}).Append(nil)[:5])
	f.Fuzz(func(t *testing.T, p []byte) {
		r, version, err := ParseRequest(p)
		if err != nil {
			return
		}
		if version == 0 || r.Check() != nil {
			t.Fatalf("%x: %+v", p, r)
		}
		b := r.Append(nil)
		if again, _, err := ParseRequest(b); err != nil || again != r || !bytes.Equal(b[2:], p[2:len(b)]) {
			t.Fatalf("%x reads as %+v, which is %x, which reads as %+v, %v", p, r, b, again, err)
		}
	})
}

func FuzzStatus(f *testing.F) {
	f.Add(Refused.Append(nil))
	f.Add([]byte{2, 2, 0, 9, 1, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		if s, version, err := ParseStatus(p); (err != nil || version > Version) && s == OK {
			t.Fatalf("%x: %v, version %d, %v", p, s, version, err)
		}
	})
}

// packets cuts fuzzer's bytes into packets: each has its length in front.
func packets(p []byte) (list [][]byte) {
	for len(p) > 0 {
		n := min(int(p[0]), len(p)-1)
		list = append(list, p[1:1+n])
		p = p[1+n:]
	}
	return list
}

func FuzzStream(f *testing.F) {
	f.Add([]byte{2, 0x10, 'x', 1, 0x11, 1, 0x12})
	f.Add([]byte{1, 0x11, 2, 0x10, 'x', 0, 1, 0x80})
	f.Fuzz(func(t *testing.T, in []byte) {
		var s Stream
		var failed error
		ended := false
		for _, p := range packets(in) {
			data, done, err := s.Take(p)
			if failed != nil && err != failed || ended && len(data) > 0 || err != nil && (done || data != nil) {
				t.Fatalf("%x: %x, %v, %v after %v, ended %v", p, data, done, err, failed, ended)
			}
			failed, ended = err, ended || done
		}
	})
}

func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{3, 0x20, 'x', 'y', 6, 0x24, 0, 1, 0, 1, 'a', 6, 0x24, 0, 1, 1, 1, 'b'}, uint16(0))
	f.Add([]byte{8, 0x21, 1, 2, 3, 4, 0, 53, 'x', 1, 0x01, 1, 0x80}, uint16(9000))
	f.Fuzz(func(t *testing.T, in []byte, ms uint16) {
		d, now := Answered(), begin
		for _, p := range packets(in) {
			if h, n, err := ParseDatagram(p); err == nil {
				b := make([]byte, h.Len())
				if h.Put(b); n != len(b) || !bytes.Equal(b, p[:n]) {
					t.Fatalf("%x reads as %+v, which is %x", p, h, b)
				}
			}
			if got := d.Take(now, p); len(got.Payload) > MaxDatagram {
				t.Fatalf("datagram of %d bytes", len(got.Payload))
			}
			if n, bytes := d.weight(); n > partialsMost || bytes != d.bytes {
				t.Fatalf("%d datagrams with %d bytes, counted %d", n, bytes, d.bytes)
			}
			now = now.Add(time.Duration(ms) * time.Millisecond)
		}
	})
}
