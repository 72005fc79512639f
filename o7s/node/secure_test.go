// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
	"o7gw/o7s/pki"
	"o7gw/o7s/qos"
)

// issue makes files below the directories, by one CA that all of them trust:
// certificates for the names, in directories such as "server/svc".
func issue(t testing.TB, dirs []string, certs map[string]string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(file string, data []byte) {
		for _, dir := range dirs {
			path := filepath.Join(dir, file)
			must(os.MkdirAll(filepath.Dir(path), 0o700))
			must(os.WriteFile(path, data, 0o600))
		}
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	caKey, err := pki.GenerateKey(rand.Reader, "p256")
	must(err)
	ca, err := pki.NewCA(rand.Reader, caKey, "ca", from, until)
	must(err)
	write("cacert/ca.pem", pki.MarshalCertificate(ca.Leaf))
	for where, name := range certs {
		key, err := pki.GenerateKey(rand.Reader, "p256")
		must(err)
		cert, err := pki.Issue(rand.Reader, ca, key.Public(), name, from, until)
		must(err)
		pem, err := pki.MarshalKey(key)
		must(err)
		write(where+"/crt.pem", pki.MarshalCertificate(cert))
		write(where+"/key.pem", pem)
		write(where+"/enc.conf", []byte("kex=X25519\nrequire=encryption,authentication\n"))
	}
}

// TestSecureFlow: an application in the node's process and one at its socket
// see who the other is, and what they write arrives, over raw and reliable
// flows, in layers and within a node.
func TestSecureFlow(t *testing.T) {
	dir, run := t.TempDir(), t.TempDir()
	issue(t, []string{dir}, map[string]string{"server/svc": "svc", "client/svc": "alice"})
	client, server := start(t, Config{Security: dir}), start(t, Config{Security: dir, RunDir: run})
	bootstrap(t, client, "127.0.0.1", "127.0.0.2", "svc")
	bootstrap(t, server, "127.0.0.2", "127.0.0.2")
	app := func() *o7s.Stack {
		s, err := o7s.Connect(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	l, err := app().Listen(t.Context(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		title  string
		from   *o7s.Stack
		cipher string
	}{
		{"layer", client.Stack(), "aes-256-gcm"},
		{"node", server.Stack(), ""},
		{"ring", app(), ""},
	} {
		for _, qs := range []qos.Spec{qos.Raw, qos.Data} {
			accepted := make(chan *o7s.Flow, 1)
			go func() {
				g, err := l.AcceptFlow(context.Background())
				if err != nil {
					t.Error(err)
				}
				accepted <- g
			}()
			f, err := c.from.Dial(t.Context(), "svc", o7s.WithQoS(qs))
			if err != nil {
				t.Fatalf("%s: %v", c.title, err)
			}
			g := <-accepted
			if f.Peer() != "svc" || g.Peer() != "alice" || f.Cipher() != c.cipher || g.Cipher() != c.cipher {
				t.Errorf("%s: client sees %q, server %q; ciphers %q and %q", c.title, f.Peer(), g.Peer(), f.Cipher(), g.Cipher())
			}
			sent := bytes.Repeat([]byte("secret"), 100)
			got := make([]byte, len(sent))
			for _, ends := range [][2]*o7s.Flow{{f, g}, {g, f}} {
				if _, err := ends[0].Write(sent); err != nil {
					t.Fatal(err)
				}
				ends[1].SetReadDeadline(time.Now().Add(30 * time.Second))
				if _, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("%s: %v", c.title, err)
				}
			}
			g.Close()
			f.Close()
		}
	}
	// Who has not the client's files is refused, and told why.
	stranger := start(t, Config{})
	bootstrap(t, stranger, "127.0.0.3", "127.0.0.2", "svc")
	go l.AcceptFlow(t.Context())
	if _, err := stranger.Stack().Dial(t.Context(), "svc"); !errors.Is(err, layer.ErrAuth) || !strings.Contains(err.Error(), "the server wants a certificate") {
		t.Errorf("stranger: %v", err)
	}
	l.Close()
}
