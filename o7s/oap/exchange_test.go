// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

var vectorTime = time.Unix(1767225600, 123456789)

func TestExchangeVector(t *testing.T) {
	id := unhex(t, fixedPart)[:IDSize]
	c := NewRequest(vectorTime, bytes.NewReader(id), nil)
	if !bytes.Equal(c.Request(), unhex(t, requestA)) {
		t.Fatalf("request %x", c.Request())
	}
	var s Server
	p, err := s.Accept(vectorTime, c.Request())
	if err != nil {
		t.Fatal(err)
	}
	resp := p.Respond(vectorTime, nil)
	if !bytes.Equal(resp, unhex(t, responseA)) {
		t.Fatalf("response %x", resp)
	}
	if data, err := c.Finish(resp); err != nil || len(data) != 0 {
		t.Fatalf("%q, %v", data, err)
	}
}

func TestExchangeData(t *testing.T) {
	var s Server
	c := NewRequest(vectorTime, rand.Reader, []byte("ping"))
	p, err := s.Accept(vectorTime.Add(time.Second), c.Request())
	if err != nil || string(p.Data()) != "ping" {
		t.Fatalf("%v, %v", p, err)
	}
	// The client does not look at the server's clock.
	data, err := c.Finish(p.Respond(vectorTime.Add(-time.Hour), []byte("pong")))
	if err != nil || string(data) != "pong" {
		t.Fatalf("%q, %v", data, err)
	}
}

// A request may name a digest without asking for anything else; its response
// then carries a hash of that kind.
func TestRequestHashFollowsDigest(t *testing.T) {
	var s Server
	for md, d := range digests {
		h := Header{Timestamp: uint64(vectorTime.UnixNano()), MD: md}
		rand.Read(h.ID[:])
		request := h.Append(nil)
		p, err := s.Accept(vectorTime, request)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Parse(p.Respond(vectorTime, nil), d.size)
		if err != nil || !bytes.Equal(r.ReqHash, requestHash(md, request)) || len(r.ReqHash) != d.size || r.MD != 0 {
			t.Errorf("digest %d: %+v, %v", md, r, err)
		}
	}
}

func TestServerRefusals(t *testing.T) {
	var s Server
	cert := Header{Timestamp: uint64(vectorTime.UnixNano()), Cert: []byte("cert"), Sig: []byte("sig")}
	for _, c := range []struct {
		name    string
		request []byte
		now     time.Time
		want    layer.Errno
	}{
		{"short", make([]byte, 35), vectorTime, layer.ErrAuth},
		{"uncounted bytes", append(unhex(t, requestA), make([]byte, 16)...), vectorTime, layer.ErrAuth},
		{"key exchange", unhex(t, requestB), vectorTime, layer.ErrCrypt},
		{"certificate", cert.Append(nil), vectorTime, layer.ErrAuth},
		{"copy of a refused one", unhex(t, requestB), vectorTime, layer.ErrAuth},
		{"late", unhex(t, requestA), vectorTime.Add(20001 * time.Millisecond), layer.ErrAuth},
		{"from the future", unhex(t, requestA), vectorTime.Add(-101 * time.Millisecond), layer.ErrAuth},
	} {
		if p, err := s.Accept(c.now, c.request); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", c.name, p, err)
		} else {
			t.Logf("%s: %v", c.name, err)
			if copied := strings.HasPrefix(c.name, "copy"); copied != errors.Is(err, ErrReplayed) {
				t.Errorf("%s: is it a replay? %v", c.name, err)
			}
		}
	}
	if got, want := s.Stats(), (ServerStats{Malformed: 2, Unsupported: 2, Replayed: 1, OutOfTime: 2}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}

func TestClientRefusals(t *testing.T) {
	id := unhex(t, fixedPart)[:IDSize]
	good := unhex(t, responseA)
	change := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	h, err := Parse(good, 48)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, certified := h, h
	encrypted.Cipher, encrypted.Kex = 901, []byte("key")
	certified.Cert, certified.Sig = []byte("cert"), []byte("sig")
	for _, c := range []struct {
		name string
		resp []byte
		want layer.Errno
	}{
		{"empty", nil, layer.ErrCrypt},
		{"without hash", good[:HeaderSize], layer.ErrCrypt},
		{"other id", change(0), layer.ErrCrypt},
		{"other hash", change(83), layer.ErrCrypt},
		{"uncounted bytes", append(bytes.Clone(good), 0), layer.ErrCrypt},
		{"encrypted", encrypted.Append(nil), layer.ErrCrypt},
		{"with certificate", certified.Append(nil), layer.ErrAuth},
	} {
		if _, err := NewRequest(vectorTime, bytes.NewReader(id), nil).Finish(c.resp); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		} else {
			t.Logf("%s: %v", c.name, err)
		}
	}
}

func TestServerTakesEachRequestOnceFromManyGoroutines(t *testing.T) {
	var s Server
	request := NewRequest(vectorTime, rand.Reader, nil).Request()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { s.Accept(vectorTime, request) })
	}
	wg.Wait()
	if got, want := s.Stats(), (ServerStats{Accepted: 1, Replayed: 7}); got != want {
		t.Fatalf("counters %+v, want %+v", got, want)
	}
}

func BenchmarkExchange(b *testing.B) {
	b.ReportAllocs()
	var s Server
	now := vectorTime
	caps := AppendCaps(nil, layer.CapTeardown)
	for range b.N {
		now = now.Add(time.Millisecond)
		c := NewRequest(now, rand.Reader, caps)
		p, err := s.Accept(now, c.Request())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Finish(p.Respond(now, caps)); err != nil {
			b.Fatal(err)
		}
	}
}
