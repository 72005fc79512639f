// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/o7s/security"
)

// onTheWay is somebody between two nodes who changes what they say.
type onTheWay struct {
	layer.Upper
	request, response func(h *oap.Header) // nil: is left alone
}

func (w onTheWay) FlowRequested(r *layer.Request) {
	original := r.Data
	if w.request != nil {
		r.Data = changed(r.Data, 0, w.request)
	}
	r.Answerer = onTheWayBack{r.Answerer, w.response, original}
	w.Upper.FlowRequested(r)
}

type onTheWayBack struct {
	layer.Answerer
	response func(h *oap.Header)
	original []byte
}

func (w onTheWayBack) Accept(data []byte) (layer.Port, error) {
	if w.response != nil {
		data = changed(data, sha512.Size384, w.response)
	}
	return w.Answerer.Accept(data)
}

func changed(msg []byte, hashLen int, change func(h *oap.Header)) []byte {
	h, err := oap.Parse(msg, hashLen)
	if err != nil {
		panic(err)
	}
	change(&h)
	return h.Append(nil)
}

func withoutCertificate(h *oap.Header) { h.Cert, h.Sig = nil, nil }

func withoutEncryption(h *oap.Header) { h.Kex, h.KexFlags, h.Cipher, h.KDF = nil, 0, 0, 0 }

// TestStripping: taking certificates or encryption out of the messages ends
// the allocation, on the side that requires them.
func TestStripping(t *testing.T) {
	ours := newAuthority(t, "ours")
	// Without a digest the request hash has the length of SHA-384, whoever reads it.
	enc := "kex=X25519\ndigest=sha384"
	clientFiles := join(ours.root(), ours.pair(t, "client/svc", "alice", time.Hour), conf("client", enc))
	serverFiles := join(ours.root(), ours.pair(t, "server/svc", "svc", time.Hour))
	both := security.Require{Encryption: true, Authentication: true}
	for title, c := range map[string]struct {
		way            onTheWay
		client, server security.Require
		want           layer.Errno
	}{
		"nothing":                     {client: both, server: both},
		"client's certificate":        {way: onTheWay{request: withoutCertificate}, server: both, want: layer.ErrAuth},
		"server's certificate":        {way: onTheWay{response: withoutCertificate}, client: both, want: layer.ErrAuth},
		"encryption of the request":   {way: onTheWay{request: func(h *oap.Header) { withoutCertificate(h); withoutEncryption(h) }}, server: security.Require{Encryption: true}, want: layer.ErrCrypt},
		"encryption, nobody requires": {way: onTheWay{request: func(h *oap.Header) { withoutCertificate(h); withoutEncryption(h) }}, want: layer.ErrCrypt},
		"encryption of the response":  {way: onTheWay{response: func(h *oap.Header) { withoutCertificate(h); withoutEncryption(h) }}, want: layer.ErrCrypt},
		"both certificates":           {way: onTheWay{request: withoutCertificate, response: withoutCertificate}, client: both, want: layer.ErrCrypt},
		"another data field":          {way: onTheWay{response: func(h *oap.Header) { h.Data = nil }}, want: layer.ErrAuth},
	} {
		t.Run(title, func(t *testing.T) {
			net := new(fakeNet)
			a, b := newSecured(t, net, clientFiles), newSecured(t, net, serverFiles)
			c.way.Upper = b.ipc.env.Upper
			b.ipc.env.Upper = c.way
			if err := a.CreateName(NameInfo{Name: "svc", Client: Protection{Require: c.client}}); err != nil {
				t.Fatal(err)
			}
			if err := b.CreateName(NameInfo{Name: "svc", Server: Protection{Require: c.server}}); err != nil {
				t.Fatal(err)
			}
			accepted := serve(t, attach(t, b.IRM, 0, "server"), "svc")
			f, err := attach(t, a.IRM, 5, "client").Alloc(t.Context(), "svc", qos.Raw)
			if c.want == 0 {
				if err != nil {
					t.Fatal(err)
				}
				talk(t, f, <-accepted)
				return
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			settle(t, "no flow is left at the client", func() bool { return len(a.ListFlows()) == 0 })
		})
	}
}

// TestReplayedRequest: a copy of a request makes no second flow and no noise,
// whatever became of the first.
func TestReplayedRequest(t *testing.T) {
	net := new(fakeNet)
	a, b := newSecured(t, net, conf("client", "")), newSecured(t, net)
	accepted := serve(t, attach(t, b.IRM, 0, "server"), "svc")
	p := attach(t, a.IRM, 5, "client")
	for _, refused := range []bool{false, true} {
		if refused {
			b.write(conf("server", "kex=secp521r1"))
		}
		f, err := p.Alloc(t.Context(), "svc", qos.Raw)
		if (err != nil) != refused {
			t.Fatal(err)
		}
		a.ipc.mu.Lock()
		copied := bytes.Clone(a.ipc.requests[len(a.ipc.requests)-1])
		a.ipc.mu.Unlock()
		answer := &fakeAnswer{net: net, to: b.ipc, ch: make(chan fakeResult, 1)}
		b.ipc.env.Upper.FlowRequested(&layer.Request{Dst: layer.MD5.Sum("svc"), QoS: qos.Raw, Data: copied, Answerer: answer})
		if answer.once.Load() != 1 || len(answer.ch) != 0 {
			t.Error("the copy was not ignored")
		}
		if !refused {
			talk(t, f, <-accepted)
		}
	}
	if len(accepted) != 0 {
		t.Error("a copy made a flow")
	}
	if s := b.handshakes.server.Stats(); s.Replayed != 2 || s.Accepted != 2 || s.Disagreed != 1 {
		t.Errorf("counted %+v", s)
	}
	e, err := b.RIB().Read("irm/status/handshakes")
	if err != nil || e.Fields[2].Value != uint64(2) {
		t.Errorf("RIB: %+v, %v", e, err)
	}
}

// TestLostHandshakes: a flow request that got lost is made anew, with another
// id and another key.
func TestLostHandshakes(t *testing.T) {
	dir := newSecDir(t) // outside the bubble: its clean-up is
	dir.write(conf("client", "kex=X25519\ncipher=chacha20-poly1305"))
	bubble.Test(t, func(t *testing.T) {
		n := new(fakeNet)
		a, b := New(Options{Factory: n.factory, Security: dir.dir}), New(Options{Factory: n.factory})
		_, here := inLayer(t, a, ipcp.UDP4, "net")
		inLayer(t, b, ipcp.UDP4, "net")
		here.noAnswer = 3
		server, client := attach(t, b, 0, "server"), attach(t, a, 0, "client")
		if _, err := server.Listen(t.Context(), "svc"); err != nil {
			t.Fatal(err)
		}
		got := make(chan *Flow, 1)
		go func() {
			g, err := server.Accept(context.Background(), "svc")
			if err != nil {
				t.Error(err)
			}
			got <- g
		}()
		f, err := client.Alloc(t.Context(), "svc", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		g := <-got
		if f.Terms().Cipher != cipher.ChaCha20Poly1305 || !bytes.Equal(f.Terms().Key, g.Terms().Key) {
			t.Error("the ends do not agree")
		}
		ids, keys := map[[oap.IDSize]byte]bool{}, map[string]bool{}
		for _, msg := range here.requests {
			h, err := oap.Parse(msg, 0)
			if err != nil {
				t.Fatal(err)
			}
			ids[h.ID], keys[string(h.Kex)] = true, true
		}
		if len(here.requests) != 4 || len(ids) != 4 || len(keys) != 4 {
			t.Errorf("%d requests, %d ids, %d keys", len(here.requests), len(ids), len(keys))
		}
		for _, i := range []*IRM{a, b} {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestSecureBelow: flows that IPC processes use are protected by their names
// like others. The link between them loses, repeats and delays packets.
func TestSecureBelow(t *testing.T) {
	dirA, dirB := newSecDir(t), newSecDir(t)
	bubble.Test(t, func(t *testing.T) {
		ours := newAuthority(t, "ours")
		dirA.write(join(ours.root(), files{"client/core/enc.conf": "kex=X25519\nrequire=encryption,authentication"}))
		dirB.write(join(ours.pair(t, "server/core", "core", time.Hour), files{"server/core/enc.conf": "kex=X25519"}))
		world := sim.NewNetwork(11)
		defer world.Close()
		l := world.NewLink(sim.Params{Delay: 5 * time.Millisecond, Loss: 0.2, Duplicate: 0.2, Reorder: 0.1, Late: 20 * time.Millisecond})
		n := new(fakeNet)
		a, b := simNodeWith(t, n, Options{Security: dirA.dir}, l), simNodeWith(t, n, Options{Security: dirB.dir}, l)
		_, ua := upper(t, a, "ua")
		id, ub := upper(t, b, "ub")
		bind(t, b, id, "core")
		registerAll(t, b, "core")
		ctx, cancel := context.WithCancel(context.Background())
		got := make(chan ipcp.Flow, 100)
		go func() {
			for {
				g, err := ub.env.Below.Accept(ctx)
				if err != nil {
					return
				}
				got <- g
			}
		}()
		for range 20 {
			f, err := ua.env.Below.Allocate(t.Context(), "core", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			bf := f.(*belowFlow)
			if bf.flow.Cipher() != cipher.AES256GCM || bf.flow.Peer() != "core" {
				t.Fatalf("cipher %d, peer %q", bf.flow.Cipher(), bf.flow.Peer())
			}
			if want := bf.port.MTU() - 28; bf.MTU() != want {
				t.Errorf("MTU %d, want %d", bf.MTU(), want)
			}
			var r tape
			f.Receive(&r)
			// The answer to the first request may have been lost: then there are
			// several flows at the other end.
			for len(got) > 0 {
				g := <-got
				g.Receive(echo{g})
				defer g.Close()
			}
			for range 50 {
				f.Send(one("x"))
			}
			time.Sleep(time.Second)
			if len(r.String()) < 10 {
				t.Errorf("of 50 packets came back %q", r.String())
			}
			f.Close()
		}
		cancel()
		for _, i := range []*IRM{a, b} {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// echo sends back what a flow brings.
type echo struct{ to layer.Port }

func (e echo) Packets(pkts []*packet.Buffer) { e.to.Send(pkts) }
func (e echo) Event(layer.Event)             {}
