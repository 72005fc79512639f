// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

// secured are the policies of two ends that require everything.
func secured(t testing.TB) (client, server *Policy) {
	t.Helper()
	ca := newAuthority(t)
	enc := conf(t, "kex = X25519\nrequire = encryption,authentication")
	return &Policy{Name: "svc", Creds: ca.issue("user", "p256"), Store: ca.store, Enc: enc},
		&Policy{Name: "svc", Creds: ca.issue("svc", "p256"), Store: ca.store, Enc: enc}
}

// serve gives a request to a server that has seen none.
func serve(msg []byte, pol *Policy) (*Session, []byte, error) {
	var s Server
	p, err := s.Accept(vectorTime, msg)
	if err != nil {
		return nil, nil, err
	}
	session, err := p.Negotiate(vectorTime, seeded(2), pol)
	if err != nil {
		return nil, nil, err
	}
	resp, err := p.Respond(vectorTime, nil)
	return session, resp, err
}

// Each byte altered, each length truncated, of messages that everything
// protects: refused by whoever gets them, with a number that can be sent.
func TestEachByteAltered(t *testing.T) {
	client, server := secured(t)
	c := request(t, vectorTime, seeded(1), client, nil)
	_, resp, err := serve(c.Request(), server)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, at int, err error) {
		var code layer.Errno
		if !errors.As(err, &code) || code != layer.ErrAuth && code != layer.ErrCrypt {
			t.Errorf("%s, byte %d: %v", what, at, err)
		}
	}
	for at := range c.Request() {
		changed := bytes.Clone(c.Request())
		changed[at] ^= 1 << (at % 8)
		_, _, err := serve(changed, server)
		refused("altered request", at, err)
		_, _, err = serve(c.Request()[:at:at], server)
		refused("truncated request", at, err)
	}
	for at := range resp {
		changed := bytes.Clone(resp)
		changed[at] ^= 1 << (at % 8)
		_, err := c.Finish(vectorTime, changed)
		refused("altered response", at, err)
		_, err = c.Finish(vectorTime, resp[:at:at])
		refused("truncated response", at, err)
	}
	_, _, err = serve(append(bytes.Clone(c.Request()), 0), server)
	refused("longer request", len(c.Request()), err)
	_, err = c.Finish(vectorTime, append(bytes.Clone(resp), 0))
	refused("longer response", len(resp), err)
	if s, err := c.Finish(vectorTime, resp); err != nil || s.Peer != "svc" {
		t.Errorf("after all that, the good one: %v, %v", s, err)
	}
}

// Without certificates a server takes changed requests; the client then never
// ends up with a flow, nor with one whose key both have, if its request was
// changed, or the key in the response.
func TestEachByteAlteredWithoutCertificates(t *testing.T) {
	pol := &Policy{Enc: conf(t, "kex = X25519")}
	fresh := func() *Client { return request(t, vectorTime, seeded(1), pol, nil) }
	c := fresh()
	for at := range c.Request() {
		changed := bytes.Clone(c.Request())
		changed[at] ^= 1 << (at % 8)
		if _, resp, err := serve(changed, pol); err == nil {
			if s, err := c.Finish(vectorTime, resp); err == nil {
				t.Errorf("request, byte %d: %v", at, s)
			}
		}
	}
	there, resp, err := serve(c.Request(), pol)
	if err != nil {
		t.Fatal(err)
	}
	for at := range resp {
		changed := bytes.Clone(resp)
		changed[at] ^= 1 << (at % 8)
		s, err := fresh().Finish(vectorTime, changed)
		if key := at >= HeaderSize && at < HeaderSize+44; err == nil && key && bytes.Equal(s.Key, there.Key) {
			t.Errorf("response, byte %d: both have the key", at)
		}
	}
	for at := range resp {
		if s, err := fresh().Finish(vectorTime, resp[:at:at]); err == nil {
			t.Errorf("response of %d bytes: %v", at, s)
		}
	}
}

// hostile makes handshakes that must fail out of good ones.
type hostile struct {
	t              *testing.T
	rnd            *rand.Rand
	now            time.Time
	client, server *Policy
	stranger       *Policy // client of another authority
	clients        []*Client
	responses      [][]byte
	used           Server // has seen all requests
}

func newHostile(t *testing.T, seed uint64) *hostile {
	h := &hostile{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), now: vectorTime}
	h.client, h.server = secured(t)
	h.stranger, _ = secured(t)
	for range 16 {
		c := request(t, h.now, rand.NewChaCha8([32]byte{byte(len(h.clients))}), h.client, []byte("data"))
		p, err := h.used.Accept(h.now, c.Request())
		if err != nil {
			t.Fatal(err)
		}
		_, resp := answer(t, h.now, seeded(byte(len(h.clients))), p, h.server, []byte("data"))
		h.clients, h.responses = append(h.clients, c), append(h.responses, resp)
	}
	return h
}

// mangle changes a message in one of several ways. What comes out is neither it
// nor the other one, which would be good: a splice can begin at 0.
func (h *hostile) mangle(msg, other []byte) []byte {
	b := bytes.Clone(msg)
	for bytes.Equal(b, msg) || bytes.Equal(b, other) {
		switch h.rnd.IntN(6) {
		case 0: // some bits
			for range 1 + h.rnd.IntN(4) {
				b[h.rnd.IntN(len(b))] ^= 1 << h.rnd.IntN(8)
			}
		case 1: // shorter
			b = b[:h.rnd.IntN(len(b))]
		case 2: // longer
			for range 1 + h.rnd.IntN(40) {
				b = append(b, byte(h.rnd.Uint32()))
			}
		case 3: // the beginning of one, the end of another
			at := h.rnd.IntN(min(len(b), len(other)))
			b = append(b[:at:at], other[at:]...)
		case 4: // a random field of lengths and numbers
			b[24+h.rnd.IntN(12)] = byte(h.rnd.Uint32())
		case 5: // a run of rubbish
			at := h.rnd.IntN(len(b))
			for i := range b[at:min(len(b), at+1+h.rnd.IntN(64))] {
				b[at+i] = byte(h.rnd.Uint32())
			}
		}
		if len(b) == 0 {
			return nil
		}
	}
	return b
}

// attempt makes one hostile handshake and reports what let it in, "" if nothing
// did.
func (h *hostile) attempt() (kind, taken string) {
	i, j := h.rnd.IntN(len(h.clients)), h.rnd.IntN(len(h.clients)-1)
	if j >= i {
		j++
	}
	good, other := h.clients[i], h.clients[j]
	server := func(kind string, s *Server, now time.Time, msg []byte) (string, string) {
		p, err := s.Accept(now, msg)
		if err == nil {
			_, err = p.Negotiate(now, seeded(9), h.server)
		}
		if err == nil {
			return kind, "server"
		}
		return kind, ""
	}
	client := func(kind string, msg []byte) (string, string) {
		if _, err := good.Finish(h.now, msg); err == nil {
			return kind, "client"
		}
		return kind, ""
	}
	var fresh Server
	switch h.rnd.IntN(7) {
	case 0:
		return server("replayed request", &h.used, h.now.Add(time.Duration(h.rnd.IntN(40_000))*time.Millisecond), good.Request())
	case 1:
		return server("late request", &fresh, h.now.Add(20*time.Second+time.Duration(1+h.rnd.IntN(1e9))*time.Millisecond), good.Request())
	case 2, 3:
		return server("mangled request", &fresh, h.now, h.mangle(good.Request(), other.Request()))
	case 4:
		p := *h.stranger
		p.Name = "svc"
		return server("request of a stranger", &fresh, h.now, request(h.t, h.now, rand.NewChaCha8([32]byte{byte(h.rnd.Uint32())}), &p, nil).Request())
	case 5:
		return client("mangled response", h.mangle(h.responses[i], h.responses[j]))
	default:
		return client("response to another request", h.responses[j])
	}
}

// Hostile handshakes by the thousand; O7S_OAP_HANDSHAKES sets how many. None
// is taken, none crashes, each is counted.
func TestHostileHandshakes(t *testing.T) {
	n := 3000
	if s := os.Getenv("O7S_OAP_HANDSHAKES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("O7S_OAP_HANDSHAKES=%q: %v", s, err)
		}
	}
	seed := rand.Uint64()
	h := newHostile(t, seed)
	tried := make(map[string]int)
	for range n {
		kind, taken := h.attempt()
		tried[kind]++
		if taken != "" {
			t.Fatalf("seed %d: %s was taken by the %s", seed, kind, taken)
		}
	}
	t.Logf("refused, of %d: %v", n, tried)
	stats := h.used.Stats()
	if got, want := stats.Replayed+stats.OutOfTime, uint64(tried["replayed request"]); got != want || stats.Accepted != 16 {
		t.Errorf("%d replays counted, want %d; counters %+v", got, want, stats)
	}
	for i, c := range h.clients {
		if s, err := c.Finish(h.now, h.responses[i]); err != nil || s.Peer != "svc" || string(s.Data) != "data" {
			t.Errorf("after all that, a good response: %v, %v", s, err)
		}
	}
}
