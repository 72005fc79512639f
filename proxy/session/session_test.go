// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"o7gw/o7s/layer"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden are the examples of docs/session.md.
var golden = []struct {
	bytes string
	req   Request
}{
	{"01 01 06 00 0000 00", Request{Proto: TCP}},
	{"01 01 06 ff 0b 6578616d706c652e6f7267 01bb 04 7f000001 d431",
		Request{Proto: TCP, Host: "example.org", Port: 443, Source: netip.MustParseAddrPort("127.0.0.1:54321")}},
	{"01 01 11 10 20010db8000000000000000000000001 0035 00",
		Request{Proto: UDP, Addr: netip.MustParseAddr("2001:db8::1"), Port: 53}},
}

func TestGoldenRequests(t *testing.T) {
	for _, g := range golden {
		want := unhex(t, g.bytes)
		if got := g.req.Append(nil); !bytes.Equal(got, want) {
			t.Errorf("%+v is %x, want %x", g.req, got, want)
		}
		r, version, err := ParseRequest(want)
		if err != nil || version != 1 || r != g.req {
			t.Errorf("%x is %+v, version %d, %v", want, r, version, err)
		}
	}
	if got := Busy.Append(nil); !bytes.Equal(got, unhex(t, "02 01 05")) {
		t.Errorf("status: %x", got)
	}
}

// addrs draws addresses of both families as they are on the wire.
func addrs(t *rapid.T) netip.Addr {
	if rapid.Bool().Draw(t, "six") {
		a := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr")))
		return a.Unmap()
	}
	return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr")))
}

func requests(t *rapid.T) Request {
	r := Request{Proto: rapid.SampledFrom([]Proto{TCP, UDP}).Draw(t, "proto"), Port: rapid.Uint16().Draw(t, "port")}
	switch rapid.IntRange(0, 2).Draw(t, "target") {
	case 1:
		r.Addr = addrs(t)
	case 2:
		r.Host = rapid.StringMatching(`[!-~]{1,253}`).Draw(t, "host")
	}
	if rapid.Bool().Draw(t, "with source") {
		r.Source = netip.AddrPortFrom(addrs(t), rapid.Uint16().Draw(t, "source port"))
	}
	return r
}

// TestRequestRoundTrip: what is appended is parsed, whatever extensions follow,
// and cut off anywhere it is refused.
func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests(t)
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		b := r.Append(nil)
		for n := range b {
			if _, _, err := ParseRequest(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%x, cut to %d bytes: %v", b, n, err)
			}
		}
		later := append(bytes.Clone(b), 200, 3, 1, 2, 3, 201, 0)
		later[1] = 9
		for _, p := range [][]byte{b, later} {
			got, _, err := ParseRequest(p)
			if err != nil || got != r {
				t.Fatalf("%x: %+v, %v, want %+v", p, got, err, r)
			}
		}
	})
}

// TestRequestAltered: a request of which one byte is altered is refused, or is
// another request, and never one that cannot be said.
func TestRequestAltered(t *testing.T) {
	for _, g := range golden {
		b := g.req.Append(nil)
		for i := range b {
			for v := range 256 {
				if byte(v) == b[i] {
					continue
				}
				p := bytes.Clone(b)
				p[i] = byte(v)
				r, version, err := ParseRequest(p)
				if err != nil {
					if !errors.Is(err, ErrMalformed) || r != (Request{}) && i > 2 {
						t.Fatalf("byte %d of %x: %+v, %v", i, p, r, err)
					}
					continue
				}
				if i == 1 && r == g.req && version == byte(v) {
					continue // a later version
				}
				if r == g.req {
					t.Fatalf("byte %d does not matter: %x", i, p)
				}
				if again := r.Append(nil); !bytes.Equal(again[2:], p[2:len(again)]) {
					t.Fatalf("%x reads as %+v, which is %x", p, r, again)
				}
			}
		}
	}
}

func TestRequestCheck(t *testing.T) {
	for _, host := range []string{"a b", "bücher", strings.Repeat("a", 254), "a\x00", "\x7f"} {
		r := Request{Proto: TCP, Host: host}
		if err := r.Check(); StatusOf(err) != BadRequest {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestStatus(t *testing.T) {
	for s := range Status(len(texts)) {
		got, version, err := ParseStatus(s.Append(nil))
		if got != s || version != Version || err != nil || s.Error() == "" {
			t.Errorf("%d: %d, %v", s, got, err)
		}
		if got := StatusOf(fmt.Errorf("dial: %w", s)); got != s {
			t.Errorf("status of %v: %v", s, got)
		}
	}
	for packet, want := range map[string]Status{
		"02 01 63":          Failed,      // unknown
		"02 02 00":          Unsupported, // OK in a version that nobody offered
		"02 02 04":          Denied,
		"02 01 00 80 01 ff": OK, // with an extension
	} {
		if got, _, err := ParseStatus(unhex(t, packet)); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", packet, got, err, want)
		}
	}
	for _, packet := range []string{"", "02", "02 01", "01 01 00", "02 00 00", "02 01 00 80", "02 01 00 80 02 00"} {
		if s, _, err := ParseStatus(unhex(t, packet)); !errors.Is(err, ErrMalformed) || s == OK {
			t.Errorf("%s: %v, %v", packet, s, err)
		}
	}
	if got := Status(77).Error(); !strings.Contains(got, "77") {
		t.Error(got)
	}
	if !TimedOut.Timeout() || Busy.Timeout() {
		t.Error("wrong idea of a timeout")
	}
}

func TestStatusOf(t *testing.T) {
	sys := func(e syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", e)}
	}
	for _, c := range []struct {
		err  error
		want Status
	}{
		{nil, OK},
		{fmt.Errorf("dial: %w", layer.ErrNoName), Refused},
		{layer.ErrIPCP, Refused},
		{sys(syscall.ECONNREFUSED), Refused},
		{layer.Errno(syscall.ECONNREFUSED), Refused},
		{layer.ErrAuth, Denied},
		{layer.ErrPermission, Denied},
		{sys(syscall.EPERM), Denied},
		{sys(syscall.EHOSTUNREACH), Unreachable},
		{sys(syscall.ENETUNREACH), Unreachable},
		{sys(syscall.ETIMEDOUT), TimedOut},
		{layer.ErrTimedOut, TimedOut},
		{layer.ErrNoAnswer, TimedOut},
		{context.DeadlineExceeded, TimedOut},
		{os.ErrDeadlineExceeded, TimedOut},
		{&net.DNSError{IsTimeout: true}, TimedOut},
		{&net.DNSError{IsNotFound: true}, NotFound},
		{&net.DNSError{Err: "server misbehaving"}, Failed},
		{layer.Errno(syscall.EAGAIN), Busy},
		{syscall.EMFILE, Busy},
		{layer.ErrNotSupported, Unsupported},
		{malformed("x"), BadRequest},
		{context.Canceled, Failed},
		{errors.New("anything"), Failed},
	} {
		if got := StatusOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestProtoString(t *testing.T) {
	if TCP.String() != "tcp" || UDP.String() != "udp" || Proto(1).String() != "protocol 1" {
		t.Error(TCP, UDP, Proto(1))
	}
}
