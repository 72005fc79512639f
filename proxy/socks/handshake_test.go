// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"bytes"
	"testing"
)

// FuzzHandshake: whatever a client sends, in whatever parts, the outcome is the
// same, and the handshake neither takes more than it needs nor goes on for
// ever.
func FuzzHandshake(f *testing.F) {
	for _, s := range []string{
		"\x05\x01\x00\x05\x01\x00\x03\x07web.o7s\x00\x50",
		"\x05\x02\x00\x02\x01\x01u\x01p\x05\x03\x00\x01\x7f\x00\x00\x01\x00\x00",
		"\x05\x01\x02\x01\x01u\x01x",
		"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50",
		"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "GET / HTTP/1.1\r\n", "\x05\x00", "\x05\x01\x00\x05\x09\x00\x01",
	} {
		f.Add([]byte(s), uint8(3), true)
	}
	f.Fuzz(func(t *testing.T, p []byte, step uint8, login bool) {
		run := func(step int) (h *handshake, replies []byte, used int, err error) {
			var check func(user, password string) bool
			if login {
				check = func(user, password string) bool { return user == "u" && password == "p" }
			}
			h = newHandshake(check)
			for h.need() > 0 && used < len(p) {
				if h.need() > 2+255+255 {
					t.Fatalf("needs %d bytes", h.need())
				}
				n := min(step, h.need(), len(p)-used)
				var reply []byte
				reply, err = h.take(p[used : used+n])
				used += n
				replies = append(replies, reply...)
				if err != nil {
					break
				}
			}
			return h, replies, used, err
		}
		h1, r1, n1, err1 := run(1000)
		h2, r2, n2, err2 := run(1 + int(step))
		if h1.state != h2.state || !bytes.Equal(r1, r2) || n1 != n2 || (err1 == nil) != (err2 == nil) || h1.target != h2.target || h1.command != h2.command {
			t.Fatalf("in parts of %d: %+v % x %v, at once %+v % x %v", 1+step, h2, r2, err2, h1, r1, err1)
		}
		if h1.state != over {
			return
		}
		if err1 != nil || h1.need() != 0 || login && h1.user != "u" || h1.command != commandConnect && h1.command != commandAssociate {
			t.Fatalf("over: %+v, %v", h1, err1)
		}
		if to := h1.target; h1.command == commandConnect && (to.port == 0 || (to.host == "") == !to.addr.IsValid()) {
			t.Fatalf("target %+v", to)
		}
	})
}

// FuzzRelayed: the header of a datagram; what is made of it for the way back
// is read as the same.
func FuzzRelayed(f *testing.F) {
	for _, s := range []string{
		"\x00\x00\x00\x01\x7f\x00\x00\x01\x00\x07data", "\x00\x00\x00\x03\x07web.o7s\x00\x07data",
		"\x00\x00\x01\x01\x7f\x00\x00\x01\x00\x07data", "\x00\x00\x00\x04\x00\x00", "\x00\x00\x00\x03\x03::1\x00\x07",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		a, raw, n, err := parseRelayed(p)
		if err != nil {
			return
		}
		if n > len(p) || len(raw) != n-relayHeader || (a.host == "") == !a.addr.IsValid() {
			t.Fatalf("%+v, % x, %d", a, raw, n)
		}
		b, _, m, err := parseRelayed(append([]byte{0, 0, 0}, raw...))
		if err != nil || m != n || a != b {
			t.Fatalf("%+v is read as %+v, %v", a, b, err)
		}
	})
}
