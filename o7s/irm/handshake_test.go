// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/kex"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
	"o7gw/o7s/security"
)

type files = map[string]string

func conf(side, text string) files { return files{side + "/svc/enc.conf": text} }

func join(all ...files) files {
	sum := files{}
	for _, f := range all {
		maps.Copy(sum, f)
	}
	return sum
}

// outcome is a handshake and what comes of it.
type outcome struct {
	client, server                 files
	clientRequires, serverRequires security.Require

	code                   layer.Errno // 0: there is a flow
	text                   string      // in the client's error, when it comes through the network
	why                    string      // in the server's log, and in the client's error of a direct flow
	cipher                 uint16      // of a flow through the network
	clientSees, serverSees string
}

func outcomes(t testing.TB) map[string]outcome {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	kemKey, kemPub, err := kex.NewStatic(kex.MLKEM768, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encrypt, authenticate := security.Require{Encryption: true}, security.Require{Authentication: true}
	svc := ours.pair(t, "server/svc", "svc", time.Hour)
	alice := ours.pair(t, "client/svc", "alice", time.Hour)
	return map[string]outcome{
		// The rows of spec 30 §6.12.
		"nothing":                  {},
		"only client encrypts":     {client: conf("client", "cipher=aes-192-gcm\nkex=X25519"), cipher: cipher.AES192GCM},
		"only server encrypts":     {server: conf("server", ""), code: layer.ErrCrypt, text: "the server wants encryption, and none is configured here", why: "the client wants no encryption"},
		"both encrypt":             {client: conf("client", ""), server: conf("server", ""), cipher: cipher.AES256GCM},
		"client's kex stronger":    {client: conf("client", "kex=X25519"), server: conf("server", ""), cipher: cipher.AES256GCM},
		"client's kex weaker":      {client: conf("client", ""), server: conf("server", "kex=X25519"), code: layer.ErrCrypt, text: "does not agree to the encryption", why: "which is weaker than the X25519"},
		"server's cipher stronger": {client: conf("client", "cipher=aes-128-gcm\nkdf=sha256"), server: conf("server", "cipher=chacha20-poly1305\nkdf=sha512"), cipher: cipher.ChaCha20Poly1305},
		"client's cipher stronger": {client: conf("client", "cipher=chacha20-poly1305\nkdf=sha3-512"), server: conf("server", "cipher=aes-128-gcm"), cipher: cipher.ChaCha20Poly1305},
		"server has a certificate": {client: ours.root(), server: svc, clientSees: "svc"},
		"client has a certificate": {client: alice, server: ours.root(), serverSees: "alice"},
		"everything": {client: join(ours.root(), alice, conf("client", "kex=X25519")), server: join(ours.root(), svc, conf("server", "kex=X25519")),
			clientRequires: security.Require{Encryption: true, Authentication: true}, serverRequires: security.Require{Encryption: true, Authentication: true},
			cipher: cipher.AES256GCM, clientSees: "svc", serverSees: "alice"},

		"static key of the server": {
			client: join(conf("client", "kex=ML-KEM-768\nkem_mode=client"), files{"client/svc/kex.srv.pub.pem": string(kemPub)}),
			server: join(conf("server", "kex=ML-KEM-768"), files{"server/svc/kex.key.pem": string(kemKey)}), cipher: cipher.AES256GCM},
		"static key is not there": {
			client: join(conf("client", "kex=ML-KEM-768\nkem_mode=client"), files{"client/svc/kex.srv.pub.pem": string(kemPub)}),
			server: conf("server", "kex=ML-KEM-768"), code: layer.ErrCrypt, text: "does not agree", why: "kex.key.pem"},

		// What is required.
		"client requires encryption and does none": {clientRequires: encrypt, code: layer.ErrCrypt, text: "encryption is required for flows to"},
		"server requires encryption":               {serverRequires: encrypt, code: layer.ErrCrypt, text: "the server wants encryption", why: "it is required for this name"},
		"server requires encryption, client does":  {client: conf("client", ""), serverRequires: encrypt, cipher: cipher.AES256GCM},
		"server requires a certificate":            {server: ours.root(), serverRequires: authenticate, code: layer.ErrAuth, text: "the server wants a certificate", why: "showed no certificate"},
		"client requires a certificate":            {client: ours.root(), clientRequires: authenticate, code: layer.ErrAuth, text: "the server showed no certificate"},
		"enc.conf requires a certificate":          {client: join(ours.root(), conf("client", "none\nrequire=authentication")), code: layer.ErrAuth, text: "showed no certificate"},
		"required and no CA":                       {clientRequires: authenticate, code: layer.ErrAuth, text: "no CA certificates"},

		// Certificates that prove nothing.
		"certificate for another name": {client: ours.root(), server: ours.pair(t, "server/svc", "other", time.Hour), code: layer.ErrAuth, text: `the server's certificate is for "other", not for "svc"`},
		"certificate has expired":      {client: ours.root(), server: ours.pair(t, "server/svc", "svc", -time.Minute), code: layer.ErrAuth, text: "does not verify"},
		"client's has expired":         {client: ours.pair(t, "client/svc", "alice", -time.Minute), server: ours.root(), code: layer.ErrAuth, text: "does not accept the certificate", why: "does not verify"},
		"authority is unknown":         {client: ours.root(), server: theirs.pair(t, "server/svc", "svc", time.Hour), code: layer.ErrAuth, text: "does not verify"},
		"client has no authority":      {server: svc, code: layer.ErrAuth, text: "no CA certificates"},

		// Files of no use.
		"server's key is rubbish":      {server: join(svc, files{"server/svc/key.pem": "rubbish"}), code: layer.ErrAuth, text: "the server wants a certificate", why: "server/svc/key.pem"},
		"client's key is rubbish":      {client: join(alice, files{"client/svc/key.pem": "rubbish"}), code: layer.ErrAuth, text: "client/svc/key.pem"},
		"server's key is missing":      {server: files{"server/svc/crt.pem": svc["server/svc/crt.pem"]}, code: layer.ErrAuth, why: "key.pem is not"},
		"server's enc.conf is rubbish": {server: conf("server", "kex=rot13"), code: layer.ErrCrypt, text: "the server wants encryption", why: "rot13"},
		"client's enc.conf is rubbish": {client: conf("client", "kex=rot13"), code: layer.ErrCrypt, text: "rot13"},
	}
}

// TestHandshakeOutcomes: through a network, where only numbers come back, and
// between processes of one node.
func TestHandshakeOutcomes(t *testing.T) {
	for title, o := range outcomes(t) {
		t.Run(title, func(t *testing.T) {
			t.Run("network", func(t *testing.T) {
				net := new(fakeNet)
				o.check(t, newSecured(t, net, o.client), newSecured(t, net, o.server), false)
			})
			t.Run("direct", func(t *testing.T) {
				both := newSecured(t, new(fakeNet), o.client, o.server)
				o.check(t, both, both, true)
			})
		})
	}
}

func (o outcome) check(t *testing.T, client, server *secured, direct bool) {
	for i, info := range map[*secured]NameInfo{
		client: {Name: "svc", Client: Protection{Require: o.clientRequires}},
		server: {Name: "svc", Server: Protection{Require: o.serverRequires}},
	} {
		if direct {
			info = NameInfo{Name: "svc", Client: Protection{Require: o.clientRequires}, Server: Protection{Require: o.serverRequires}}
		}
		if err := i.CreateName(info); err != nil {
			t.Fatal(err)
		}
	}
	accepted := serve(t, attach(t, server.IRM, 0, "server"), "svc")
	p := attach(t, client.IRM, 0, "client")
	f, err := p.Alloc(t.Context(), "svc", qos.Raw)
	if o.code != 0 {
		text := o.text
		if direct && o.why != "" {
			text = o.why
		}
		if !errors.Is(err, o.code) || !strings.Contains(err.Error(), text) {
			t.Fatalf("got %v, want %v with %q", err, o.code, text)
		}
		settle(t, "the server's log says why", func() bool { return server.log.has(o.why) })
		o.recovers(t, client, server, p, accepted)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	g := <-accepted
	mine, its := f.Terms(), g.Terms()
	want := o.cipher
	if direct {
		want = 0
	}
	if mine.Cipher != want || its.Cipher != want || !bytes.Equal(mine.Key, its.Key) || (len(mine.Key) == 32) != (want != 0) {
		t.Errorf("client %v (key of %d bytes), server %v, want %v", mine.Cipher, len(mine.Key), its.Cipher, want)
	}
	if mine.Peer != o.clientSees || its.Peer != o.serverSees || mine.Server || !its.Server {
		t.Errorf("client sees %q, server %q, want %q and %q", mine.Peer, its.Peer, o.clientSees, o.serverSees)
	}
	for _, l := range []FlowInfo{client.ListFlows()[0], server.ListFlows()[0]} {
		if l.Cipher != want || l.PeerName != o.clientSees && l.PeerName != o.serverSees {
			t.Errorf("listed as %+v", l)
		}
	}
	for _, i := range []*secured{client, server} {
		hides(t, mine.Key, i.log.String(), ribText(i.IRM), fmt.Sprintf("%+v", i.ListFlows()))
	}
	talk(t, f, g)
}

func ribText(i *IRM) string {
	var b strings.Builder
	i.RIB().Walk("", func(path string, e *rib.Entry) bool {
		fmt.Fprintln(&b, path, e)
		return true
	})
	return b.String()
}

// hides checks that no text shows the key.
func hides(t *testing.T, key []byte, texts ...string) {
	t.Helper()
	if len(key) == 0 {
		return
	}
	forms := []string{
		string(key), hex.EncodeToString(key), strings.ToUpper(hex.EncodeToString(key)), base64.StdEncoding.EncodeToString(key),
		strings.Trim(fmt.Sprint(key), "[]"), strings.Trim(fmt.Sprintf("%q", key), `"`),
	}
	for _, text := range texts {
		if text == "" {
			t.Error("there is nothing to look at")
		}
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("the key can be read in %q", text)
			}
		}
	}
}

// recovers checks that a refusal ended neither the accept call nor the name:
// when nothing stands in the way any more the same processes get a flow.
func (o outcome) recovers(t *testing.T, client, server *secured, p *Process, accepted <-chan *Flow) {
	t.Helper()
	for _, i := range []*secured{client, server} {
		i.mu.Lock()
		i.names["svc"].server, i.names["svc"].client = Protection{}, Protection{}
		i.mu.Unlock()
		for _, side := range []string{"/client", "/server"} {
			if err := os.RemoveAll(i.dir + side); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := p.Alloc(t.Context(), "svc", qos.Raw)
	if err != nil {
		t.Fatalf("after the cause was removed: %v", err)
	}
	// A server that agreed while the client did not has another flow, which
	// ended at once.
	send(f, "ping")
	var got []*Flow
	var sinks []*sink
	settle(t, "the server has the flow", func() bool {
		select {
		case g := <-accepted:
			got, sinks = append(got, g), append(sinks, new(sink))
			g.Port().Receive(sinks[len(sinks)-1])
		default:
		}
		return slices.ContainsFunc(sinks, func(s *sink) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.got == "ping"
		})
	})
	for _, g := range append(got, f) {
		g.Dealloc()
	}
}

// TestReload: what changes in the directory holds for the next flow.
func TestReload(t *testing.T) {
	net := new(fakeNet)
	a, b := newSecured(t, net), newSecured(t, net)
	ours := newAuthority(t, "ours")
	accepted := serve(t, attach(t, b.IRM, 0, "server"), "svc")
	p := attach(t, a.IRM, 5, "client")
	for k, step := range []struct {
		client, server files
		remove         string
		cipher         uint16
		peer           string
		code           layer.Errno
	}{
		{},
		{client: conf("client", "kex=X25519\ncipher=aes-128-gcm"), cipher: cipher.AES128GCM},
		{server: conf("server", "kex=X25519\ncipher=chacha20-poly1305"), cipher: cipher.ChaCha20Poly1305},
		{client: conf("client", "kex=prime256v1"), code: layer.ErrCrypt},
		{server: conf("server", "kex=prime256v1"), cipher: cipher.AES256GCM},
		{client: ours.root(), server: ours.pair(t, "server/svc", "svc", time.Hour), cipher: cipher.AES256GCM, peer: "svc"},
		{client: conf("client", "kex=prime256v1\nrequire=authentication"), cipher: cipher.AES256GCM, peer: "svc"},
		{remove: "server/svc/key.pem", server: files{"server/svc/crt.pem": "x"}, code: layer.ErrAuth},
		{server: ours.pair(t, "server/svc", "svc", time.Hour), cipher: cipher.AES256GCM, peer: "svc"},
		{server: ours.pair(t, "server/svc", "other", time.Hour), code: layer.ErrAuth},
	} {
		a.write(step.client)
		b.write(step.server)
		if step.remove != "" {
			if err := os.Remove(b.dir + "/" + step.remove); err != nil {
				t.Fatal(err)
			}
		}
		f, err := p.Alloc(t.Context(), "svc", qos.Raw)
		if step.code != 0 {
			if !errors.Is(err, step.code) {
				t.Fatalf("step %d: %v", k, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("step %d: %v", k, err)
		}
		g := <-accepted
		if c := f.Terms(); c.Cipher != step.cipher || c.Peer != step.peer || g.Terms().Cipher != step.cipher {
			t.Errorf("step %d: cipher %d, peer %q", k, c.Cipher, c.Peer)
		}
		f.Dealloc()
		g.Dealloc()
	}
}

// TestPathsOfNames: files that are given for a name are used instead of those
// in the directory.
func TestPathsOfNames(t *testing.T) {
	net := new(fakeNet)
	ours := newAuthority(t, "ours")
	a, b := newSecured(t, net, ours.root(), files{"mine.conf": "kex=X25519\ncipher=chacha20-poly1305"}), newSecured(t, net, ours.pair(t, "elsewhere", "svc", time.Hour), files{"none.conf": "none"}, conf("server", "kex=secp521r1"))
	for i, info := range map[*secured]NameInfo{
		a: {Name: "svc", Client: Protection{Paths: security.Paths{Enc: a.dir + "/mine.conf"}, Require: security.Require{Authentication: true}}},
		b: {Name: "svc", Server: Protection{Paths: security.Paths{Enc: b.dir + "/none.conf", Cert: b.dir + "/elsewhere/crt.pem", Key: b.dir + "/elsewhere/key.pem"}}},
	} {
		if err := i.CreateName(info); err != nil {
			t.Fatal(err)
		}
	}
	accepted := serve(t, attach(t, b.IRM, 0, "server"), "svc")
	f, err := attach(t, a.IRM, 5, "client").Alloc(t.Context(), "svc", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if c := f.Terms(); c.Cipher != cipher.ChaCha20Poly1305 || c.Peer != "svc" {
		t.Errorf("cipher %d, peer %q", c.Cipher, c.Peer)
	}
	talk(t, f, <-accepted)
}

// TestProtectionOfNames: creating a name that exists cannot leave it without
// the protection that was asked for.
func TestProtectionOfNames(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	safe := NameInfo{Name: "svc", Server: Protection{Require: security.Require{Encryption: true}}}
	p := attach(t, i, 7, "quick")
	if _, err := p.Listen(t.Context(), "svc"); err != nil {
		t.Fatal(err)
	}
	for k, c := range []struct {
		info NameInfo
		want error
	}{
		{NameInfo{Name: "svc"}, nil},
		{safe, nil},
		{safe, nil},
		{NameInfo{Name: "svc"}, nil},
		{NameInfo{Name: "svc", Client: safe.Server}, ErrExists},
		{NameInfo{Name: "svc", Server: Protection{Require: security.Require{Authentication: true}}}, ErrExists},
	} {
		if err := i.CreateName(c.info); !errors.Is(err, c.want) {
			t.Errorf("step %d: %v, want %v", k, err, c.want)
		}
	}
	if n := nameOf(i, "svc"); n.Server != safe.Server || n.Client != (Protection{}) {
		t.Errorf("name %+v", n)
	}
}

// TestForeignCertificate: a user who takes a name for himself does not get
// the certificate that the node has for it.
func TestForeignCertificate(t *testing.T) {
	net := new(fakeNet)
	ours := newAuthority(t, "ours")
	a, b := newSecured(t, net, ours.root()), newSecured(t, net, ours.pair(t, "server/svc", "svc", time.Hour))
	mallory := attach(t, b.IRM, 66, "server")
	serve(t, mallory, "svc")
	client := attach(t, a.IRM, 5, "client")
	if _, err := client.Alloc(t.Context(), "svc", qos.Raw); !errors.Is(err, layer.ErrAuth) {
		t.Errorf("flow to a user's own name: %v", err)
	}
	settle(t, "the log says why", func() bool { return b.log.has("no administrator has given it to user 66") })
	// That an administrator binds it to something does not give it to him.
	if err := b.BindProcess(attach(t, b.IRM, 0, "another").info.PID, "svc"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Alloc(t.Context(), "svc", qos.Raw); !errors.Is(err, layer.ErrAuth) {
		t.Errorf("flow to a name that an administrator has bound: %v", err)
	}
	// The administrator means him.
	if err := b.CreateName(NameInfo{Name: "svc", Owner: 66}); err != nil {
		t.Fatal(err)
	}
	f, err := client.Alloc(t.Context(), "svc", qos.Raw)
	if err != nil || f.Terms().Peer != "svc" {
		t.Fatalf("%+v, %v", f, err)
	}
	f.Dealloc()
	mallory.Close()
}

// TestTurns: requests wait while others are being answered; an accept call
// that ends meanwhile gives its request back.
func TestTurns(t *testing.T) {
	net := new(fakeNet)
	a, b := newSecured(t, net), newSecured(t, net)
	for range cap(b.handshakes.turns) {
		b.handshakes.turns <- struct{}{}
	}
	first, second := attach(t, b.IRM, 0, "first"), attach(t, b.IRM, 0, "second")
	for _, p := range []*Process{first, second} {
		if err := p.Bind("svc"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := first.Accept(ctx, "svc")
		ended <- err
	}()
	settle(t, "first accepts", func() bool { return waiting(b.IRM, "svc") == 1 })
	got := make(chan error, 1)
	go func() {
		_, err := attach(t, a.IRM, 5, "client").Alloc(t.Context(), "svc", qos.Raw)
		got <- err
	}()
	settle(t, "first has the request", func() bool { return waiting(b.IRM, "svc") == 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("first: %v", err)
	}
	for range cap(b.handshakes.turns) {
		<-b.handshakes.turns
	}
	f, err := second.Accept(t.Context(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	f.Dealloc()
}

// TestLate: what waited too long for its turn is refused without more work.
func TestLate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := new(fakeNet)
		a, b := New(Options{Factory: net.factory}), New(Options{Factory: net.factory})
		inLayer(t, a, ipcp.UDP4, "net")
		inLayer(t, b, ipcp.UDP4, "net")
		for range cap(b.handshakes.turns) {
			b.handshakes.turns <- struct{}{}
		}
		server, client := attach(t, b, 0, "server"), attach(t, a, 5, "client")
		if err := server.Bind("svc"); err != nil {
			t.Fatal(err)
		}
		got := make(chan *Flow, 1)
		go func() {
			f, err := server.Accept(context.Background(), "svc")
			if err != nil {
				t.Error(err)
			}
			got <- f
		}()
		synctest.Wait()
		time.AfterFunc(acceptWait*3/2, func() {
			for range cap(b.handshakes.turns) {
				<-b.handshakes.turns
			}
		})
		if _, err := client.Alloc(t.Context(), "svc", qos.Raw); !errors.Is(err, layer.ErrTimedOut) {
			t.Errorf("late request: %v", err)
		}
		f, err := client.Alloc(t.Context(), "svc", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		f.Dealloc()
		(<-got).Dealloc()
		for _, i := range []*IRM{a, b} {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// BenchmarkHandshake makes and ends flows between two nodes without a network.
func BenchmarkHandshake(b *testing.B) {
	ours := newAuthority(b, "ours")
	for _, c := range []struct {
		title          string
		client, server files
	}{
		{"plain", nil, nil},
		{"X25519", conf("client", "kex=X25519"), conf("server", "kex=X25519")},
		{"X25519, both authenticated",
			join(ours.root(), ours.pair(b, "client/svc", "alice", time.Hour), conf("client", "kex=X25519")),
			join(ours.root(), ours.pair(b, "server/svc", "svc", time.Hour), conf("server", "kex=X25519"))},
	} {
		b.Run(c.title, func(b *testing.B) {
			net := new(fakeNet)
			from, to := nodeWith(b, Options{Factory: net.factory, Security: withFiles(b, c.client)}), nodeWith(b, Options{Factory: net.factory, Security: withFiles(b, c.server)})
			inLayer(b, from, ipcp.UDP4, "net")
			inLayer(b, to, ipcp.UDP4, "net")
			accepted := serve(b, attach(b, to, 0, "server"), "svc")
			p := attach(b, from, 0, "client")
			b.ReportAllocs()
			for b.Loop() {
				f, err := p.Alloc(b.Context(), "svc", qos.Raw)
				if err != nil {
					b.Fatal(err)
				}
				f.Dealloc()
				(<-accepted).Dealloc()
			}
		})
	}
}

func withFiles(t testing.TB, f files) string {
	d := newSecDir(t)
	d.write(f)
	time.Sleep(100 * time.Millisecond) // the files are new: only older ones are remembered
	return d.dir
}
