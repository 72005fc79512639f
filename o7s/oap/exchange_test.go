// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/digest"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/oap/kex"
)

var vectorTime = time.Unix(1767225600, 123456789)

// request makes a request that cannot fail.
func request(t testing.TB, now time.Time, random io.Reader, p *Policy, data []byte) *Client {
	t.Helper()
	c, err := NewRequest(now, random, p, data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer has the server agree and respond.
func answer(t testing.TB, now time.Time, random io.Reader, p *Pending, pol *Policy, data []byte) (*Session, []byte) {
	t.Helper()
	s, err := p.Negotiate(now, random, pol)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.Respond(now, data)
	if err != nil {
		t.Fatal(err)
	}
	return s, resp
}

// The exchanges of spec 30 §6.13, with the private keys given there.
func TestExchangeVectors(t *testing.T) {
	id := unhex(t, fixedPart)[:IDSize]
	clientKey := unhex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	serverKey := unhex(t, "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f")
	x25519 := encconf.Default()
	x25519.Kex = kex.X25519
	strong := encconf.Default()
	strong.Cipher, strong.KDF = cipher.ChaCha20Poly1305, digest.SHA512
	strongest := encconf.Default()
	strongest.KDF = digest.SHA3_512
	for _, v := range []struct {
		name              string
		client, server    *Policy
		request, response string // response: as much of it as the vectors tell
		cipher            uint16
		key               string
	}{
		{"a", nil, nil, requestA, responseA, 0, ""},
		{"b", &Policy{Enc: x25519}, nil, requestB, responseB, 901,
			"c77e955e944159145ec71d335c2eab23331f44417a2061cc76ce5e2241d1d330"},
		{"c", &Policy{Enc: encconf.Default()}, &Policy{Enc: encconf.Default()}, requestC, responseC, 901,
			"22e6e8749fd4912d25d145b42a244fc58b2dc3116cd56490933842509f85c1e3"},
		{"c, stronger server", &Policy{Enc: encconf.Default()}, &Policy{Enc: strong}, requestC, fixedPart + "03fa 02a2 02a0", 1018,
			"67c778057716b686a25ee8cdc5ca2712e5ffc6277036cc54053880a1e444dc03"},
		{"c, strongest kdf", &Policy{Enc: encconf.Default()}, &Policy{Enc: strongest}, requestC, fixedPart + "0385 044b 02a0", 901,
			"92fa9430bc49e092946c8b0783e7c20b9529d1809426319706b27093915584c9"},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := request(t, vectorTime, bytes.NewReader(append(bytes.Clone(id), clientKey...)), v.client, nil)
			if !bytes.Equal(c.Request(), unhex(t, v.request)) {
				t.Fatalf("request %x", c.Request())
			}
			var s Server
			p, err := s.Accept(vectorTime, c.Request())
			if err != nil {
				t.Fatal(err)
			}
			there, resp := answer(t, vectorTime, bytes.NewReader(serverKey), p, v.server, nil)
			if want := unhex(t, v.response); !bytes.HasPrefix(resp, want) || len(want) > 30 && len(resp) != len(want) {
				t.Fatalf("response %x", resp)
			}
			here, err := c.Finish(vectorTime, resp)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []*Session{here, there} {
				if s.Cipher != v.cipher || !bytes.Equal(s.Key, unhex(t, v.key)) || len(s.Data) > 0 || s.Peer != "" {
					t.Errorf("session %v, key %x", s, s.Key)
				}
				if len(s.Key) > 0 && strings.Contains(s.String(), v.key) {
					t.Errorf("%v shows the key", s)
				}
			}
		})
	}
}

func TestExchangeData(t *testing.T) {
	var s Server
	c := request(t, vectorTime, rand.Reader, nil, []byte("ping"))
	p, err := s.Accept(vectorTime.Add(time.Second), c.Request())
	if err != nil || string(p.Data()) != "ping" {
		t.Fatalf("%v, %v", p, err)
	}
	// The client does not look at the server's clock.
	there, resp := answer(t, vectorTime.Add(-time.Hour), rand.Reader, p, nil, []byte("pong"))
	here, err := c.Finish(vectorTime, resp)
	if err != nil || string(here.Data) != "pong" || string(there.Data) != "ping" {
		t.Fatalf("%v, %v, %v", here, there, err)
	}
}

func TestTooMuchData(t *testing.T) {
	data := make([]byte, MaxData+1)
	if _, err := NewRequest(vectorTime, rand.Reader, nil, data); !errors.Is(err, layer.ErrCrypt) {
		t.Errorf("request: %v", err)
	}
	var s Server
	p, err := s.Accept(vectorTime, request(t, vectorTime, rand.Reader, nil, data[1:]).Request())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Respond(vectorTime, nil); !errors.Is(err, layer.ErrCrypt) {
		t.Errorf("response before negotiation: %v", err)
	}
	if _, err := p.Negotiate(vectorTime, rand.Reader, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Respond(vectorTime, data); !errors.Is(err, layer.ErrCrypt) {
		t.Errorf("response: %v", err)
	}
	if _, err := NewRequest(vectorTime, bytes.NewReader(data[:8]), nil, nil); !errors.Is(err, layer.ErrCrypt) {
		t.Errorf("request without randomness: %v", err)
	}
}

// A request may name a digest without asking for anything else; its response
// then carries a hash of that kind.
func TestRequestHashFollowsDigest(t *testing.T) {
	var s Server
	for _, name := range digest.Names() {
		md, _ := digest.ByName(name)
		h := Header{Timestamp: uint64(vectorTime.UnixNano()), MD: md}
		rand.Read(h.ID[:])
		request := h.Append(nil)
		p, err := s.Accept(vectorTime, request)
		if err != nil {
			t.Fatal(err)
		}
		_, resp := answer(t, vectorTime, rand.Reader, p, nil, nil)
		r, err := Parse(resp, digest.Size(md))
		if err != nil || !bytes.Equal(r.ReqHash, requestHash(md, request)) || r.MD != 0 {
			t.Errorf("digest %s: %+v, %v", name, r, err)
		}
	}
}

func TestServerRefusals(t *testing.T) {
	var s Server
	header := func(n byte, h Header) []byte {
		h.ID[0], h.Timestamp = n, uint64(vectorTime.UnixNano())
		return h.Append(nil)
	}
	for _, c := range []struct {
		name    string
		request []byte
		now     time.Time
		want    layer.Errno
		text    string
	}{
		{"short", make([]byte, 35), vectorTime, layer.ErrAuth, "35 bytes, need 36"},
		{"uncounted bytes", append(unhex(t, requestA), make([]byte, 16)...), vectorTime, layer.ErrAuth, "16 bytes behind the end"},
		{"late", unhex(t, requestA), vectorTime.Add(20001 * time.Millisecond), layer.ErrAuth, "sent 20.001s ago; compare the clocks"},
		{"from the future", unhex(t, requestA), vectorTime.Add(-101 * time.Millisecond), layer.ErrAuth, "sent -101ms ago"},
		{"certificate", header(1, Header{Cert: []byte("cert"), Sig: []byte("sig")}), vectorTime, layer.ErrAuth, "no CA certificates"},
		{"copy of it", header(1, Header{}), vectorTime, layer.ErrAuth, "replayed"},
		{"cipher only", header(2, Header{Cipher: 901}), vectorTime, layer.ErrCrypt, "sent no key exchange"},
		{"unknown key exchange", header(3, Header{Cipher: 901, KDF: 672, Kex: []byte("what?")}), vectorTime, layer.ErrCrypt, "no key exchange that this build knows"},
		{"client encapsulation", header(4, Header{Cipher: 901, KDF: 672, Kex: make([]byte, 1088), KexFlags: KexClient}), vectorTime, layer.ErrCrypt, "kex = none"},
		{"no cipher", header(5, Header{KDF: 672, Kex: unhex(t, requestB)[HeaderSize:]}), vectorTime, layer.ErrCrypt, "no cipher"},
		{"no kdf", header(6, Header{Cipher: 901, Kex: unhex(t, requestB)[HeaderSize:]}), vectorTime, layer.ErrCrypt, "no kdf"},
	} {
		p, err := s.Accept(c.now, c.request)
		if err == nil {
			_, err = p.Negotiate(c.now, rand.Reader, nil)
			if resp, err := p.Respond(c.now, nil); err == nil {
				t.Errorf("%s: refused, and then answered with %x", c.name, resp)
			}
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if copied := strings.HasPrefix(c.name, "copy"); copied != errors.Is(err, ErrReplayed) {
			t.Errorf("%s: is it a replay? %v", c.name, err)
		}
	}
	want := ServerStats{Accepted: 6, Malformed: 2, Replayed: 1, OutOfTime: 2, Unauthenticated: 1, Disagreed: 5}
	if got := s.Stats(); got != want {
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
		if _, err := request(t, vectorTime, bytes.NewReader(id), nil, nil).Finish(vectorTime, c.resp); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		} else {
			t.Logf("%s: %v", c.name, err)
		}
	}
}

func TestServerTakesEachRequestOnceFromManyGoroutines(t *testing.T) {
	var s Server
	request := request(t, vectorTime, rand.Reader, nil, nil).Request()
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
		c := request(b, now, rand.Reader, nil, caps)
		p, err := s.Accept(now, c.Request())
		if err != nil {
			b.Fatal(err)
		}
		_, resp := answer(b, now, rand.Reader, p, nil, caps)
		if _, err := c.Finish(now, resp); err != nil {
			b.Fatal(err)
		}
	}
}
