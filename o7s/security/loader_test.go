// SPDX-License-Identifier: BSD-3-Clause

package security

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/kex"
	"o7gw/o7s/pki"
)

// tree is a security directory.
type tree struct {
	testing.TB
	dir string
	ca  *pki.Credentials
}

var now = time.Now()

func newTree(t testing.TB) *tree {
	t.Helper()
	return &tree{t, t.TempDir(), newCA(t, "ca")}
}

func newCA(t testing.TB, name string) *pki.Credentials {
	t.Helper()
	key, err := pki.GenerateKey(rand.Reader, "p256")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA(rand.Reader, key, name, now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// write puts a file into the tree, in one step.
func (t *tree) write(file string, data []byte) {
	t.Helper()
	path := filepath.Join(t.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

// issue returns certificate and key of a name, PEM.
func (t *tree) issue(name string) (cert, key []byte) {
	t.Helper()
	signer, err := pki.GenerateKey(rand.Reader, "p256")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.Issue(rand.Reader, t.ca, signer.Public(), name, now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if key, err = pki.MarshalKey(signer); err != nil {
		t.Fatal(err)
	}
	return pki.MarshalCertificate(c), key
}

// install issues a certificate into a directory such as "server/x".
func (t *tree) install(dir, name string) {
	t.Helper()
	cert, key := t.issue(name)
	t.write(dir+"/crt.pem", cert)
	t.write(dir+"/key.pem", key)
}

func (t *tree) trust(ca *pki.Credentials) {
	t.Helper()
	t.write("cacert/"+pki.Name(ca.Leaf)+".pem", pki.MarshalCertificate(ca.Leaf))
}

func TestNothing(t *testing.T) {
	for _, dir := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		l := NewLoader(dir, nil)
		for _, name := range []string{"x", "", ".", "..", "a/b", strings.Repeat("x", 255), strings.Repeat("x", 256), "\x00"} {
			for _, f := range []func(string, Paths, Require) (p any, err error){
				func(n string, p Paths, r Require) (any, error) { v, err := l.Client(n, p, r); return v == nil, err },
				func(n string, p Paths, r Require) (any, error) { v, err := l.Server(n, p, r); return v == nil, err },
			} {
				if none, err := f(name, Paths{}, Require{}); err != nil || none != true {
					t.Errorf("directory %q, name %.20q: %v, %v", dir, name, none, err)
				}
			}
		}
		p, err := l.Server("x", Paths{}, Require{Encryption: true})
		if err != nil || !p.RequireEncryption || p.RequireAuthentication || p.Name != "x" {
			t.Errorf("directory %q: required encryption got lost: %+v, %v", dir, p, err)
		}
		if _, err := l.Client("x", Paths{Enc: "/nowhere/enc.conf"}, Require{}); !errors.Is(err, layer.ErrCrypt) && !errors.Is(err, layer.ErrAuth) {
			t.Errorf("directory %q: a missing file that was named: %v", dir, err)
		}
	}
}

func TestBothSides(t *testing.T) {
	tr := newTree(t)
	tr.trust(tr.ca)
	tr.install("server/shop", "shop")
	tr.write("server/shop/enc.conf", []byte("kex = X25519\n"))
	tr.install("client/shop", "alice")
	l := NewLoader(tr.dir, nil)
	s, err := l.Server("shop", Paths{}, Require{})
	if err != nil {
		t.Fatal(err)
	}
	if pki.Name(s.Creds.Leaf) != "shop" || s.Enc.Kex != kex.X25519 || s.Store.Len() != 1 || s.KEMKey != nil {
		t.Errorf("server: %+v", s)
	}
	c, err := l.Client("shop", Paths{}, Require{Authentication: true})
	if err != nil {
		t.Fatal(err)
	}
	if pki.Name(c.Creds.Leaf) != "alice" || c.Name != "shop" || c.Enc != nil || !c.RequireAuthentication {
		t.Errorf("client: %+v", c)
	}
	if _, err := c.Store.Verify(now, s.Creds.Cert); err != nil {
		t.Error(err)
	}
	// Paths take the place of the defaults, each on its own.
	p, err := l.Server("other", Paths{Enc: tr.dir + "/server/shop/enc.conf", Cert: tr.dir + "/client/shop/crt.pem", Key: tr.dir + "/client/shop/key.pem"}, Require{})
	if err != nil || pki.Name(p.Creds.Leaf) != "alice" || p.Enc.Kex != kex.X25519 {
		t.Errorf("paths: %+v, %v", p, err)
	}
	// A name without files still verifies its peers.
	if p, err = l.Client("nobody", Paths{}, Require{}); err != nil || p == nil || p.Store == nil || p.Creds != nil || p.Enc != nil {
		t.Errorf("only a trust store: %+v, %v", p, err)
	}
}

func TestStaticKeys(t *testing.T) {
	tr := newTree(t)
	for _, f := range []struct{ kex, ext string }{{"ML-KEM-768", "pem"}, {"X25519MLKEM768", "raw"}} {
		name := "kem-" + f.ext
		tr.write("server/"+name+"/enc.conf", []byte("kex = "+f.kex))
		tr.write("client/"+name+"/enc.conf", []byte("kem_mode = client\nkex = "+f.kex))
		l := NewLoader(tr.dir, nil)
		if p, err := l.Server(name, Paths{}, Require{}); err != nil || p.KEMKey != nil {
			t.Errorf("%s without a key: %v", f.kex, err)
		}
		tr.write("server/"+name+"/kex.key."+f.ext, []byte("private"))
		tr.write("client/"+name+"/kex.srv.pub."+f.ext, []byte("public"))
		if p, err := l.Server(name, Paths{}, Require{}); err != nil || string(p.KEMKey) != "private" {
			t.Errorf("%s, server: %+v, %v", f.kex, p, err)
		}
		if p, err := l.Client(name, Paths{}, Require{}); err != nil || string(p.KEMKey) != "public" {
			t.Errorf("%s, client: %+v, %v", f.kex, p, err)
		}
		tr.write("client/"+name+"/enc.conf", []byte("kex = "+f.kex))
		if p, err := l.Client(name, Paths{}, Require{}); err != nil || p.KEMKey != nil {
			t.Errorf("%s, client that does not encapsulate: %+v, %v", f.kex, p, err)
		}
	}
}

// TestHostileNames puts files where a name must not lead.
func TestHostileNames(t *testing.T) {
	tr := newTree(t)
	for _, dir := range []string{".", "server", "client", "server/a", "out"} {
		tr.install(dir, "trap")
		tr.write(dir+"/enc.conf", nil)
	}
	l := NewLoader(filepath.Join(tr.dir), nil)
	for _, name := range []string{"", ".", "..", "../server", "../out", "/", "a/", "/a", "a/.", "a//", "./a", "a/..", "a/../a", "../../out",
		"a\x00", "\x00", strings.Repeat("../", 85), strings.Repeat("a/", 128), strings.Repeat("a", 256), tr.dir + "/out"} {
		if p, err := l.Server(name, Paths{}, Require{}); p != nil || err != nil {
			t.Errorf("server %q got %+v, %v", name, p, err)
		}
		if p, err := l.Client(name, Paths{}, Require{}); p != nil || err != nil {
			t.Errorf("client %q got %+v, %v", name, p, err)
		}
	}
	if p, err := l.Server("a", Paths{}, Require{}); err != nil || p.Creds == nil || p.Enc == nil {
		t.Errorf("the good name: %+v, %v", p, err)
	}
	tr.install("server/deep/er", "deep/er")
	if p, err := l.Server("deep/er", Paths{}, Require{}); err != nil || p.Creds == nil {
		t.Errorf("a name with a slash: %+v, %v", p, err)
	}
	long := strings.Repeat("é", 127) + "x"
	tr.install("server/"+long, long)
	if p, err := l.Server(long, Paths{}, Require{}); err != nil || pki.Name(p.Creds.Leaf) != long {
		t.Errorf("a name of 255 bytes: %v", err)
	}
}

// TestUseless: whatever is wrong with a file, the flow fails and the error
// names the file.
func TestUseless(t *testing.T) {
	base := newTree(t)
	cert, key := base.issue("x")
	_, otherKey := base.issue("x")
	for _, c := range []struct {
		what string
		make func(tr *tree, dir string) error
		want string
		code error
	}{
		{"no key", func(tr *tree, d string) error { tr.write("server/x/crt.pem", cert); return nil }, "key.pem is not", layer.ErrAuth},
		{"no certificate", func(tr *tree, d string) error { tr.write("server/x/key.pem", key); return nil }, "crt.pem is not", layer.ErrAuth},
		{"another key", func(tr *tree, d string) error {
			tr.write("server/x/crt.pem", cert)
			tr.write("server/x/key.pem", otherKey)
			return nil
		}, "not the one of the certificate", layer.ErrAuth},
		{"swapped", func(tr *tree, d string) error {
			tr.write("server/x/crt.pem", key)
			tr.write("server/x/key.pem", cert)
			return nil
		}, "no certificate in PEM", layer.ErrAuth},
		{"empty", func(tr *tree, d string) error {
			tr.write("server/x/crt.pem", nil)
			tr.write("server/x/key.pem", nil)
			return nil
		}, "no certificate in PEM", layer.ErrAuth},
		{"dangling link", func(tr *tree, d string) error { return os.Symlink("nowhere", d+"/enc.conf") }, "leads nowhere", layer.ErrCrypt},
		{"circle of links", func(tr *tree, d string) error { return os.Symlink("enc.conf", d+"/enc.conf") }, "symbolic links", layer.ErrCrypt},
		{"directory", func(tr *tree, d string) error { return os.Mkdir(d+"/enc.conf", 0o755) }, "not a regular file", layer.ErrCrypt},
		{"pipe", func(tr *tree, d string) error { return unix.Mkfifo(d+"/enc.conf", 0o600) }, "not a regular file", layer.ErrCrypt},
		{"device", func(tr *tree, d string) error { return os.Symlink("/dev/zero", d+"/enc.conf") }, "not a regular file", layer.ErrCrypt},
		{"huge", func(tr *tree, d string) error {
			tr.write("server/x/enc.conf", nil)
			return os.Truncate(d+"/enc.conf", 1<<40)
		}, "larger than", layer.ErrCrypt},
		{"unknown value", func(tr *tree, d string) error { tr.write("server/x/enc.conf", []byte("cipher = rot13")); return nil }, "rot13", layer.ErrCrypt},
		{"a file for a directory", func(tr *tree, d string) error {
			if err := os.Remove(d); err != nil {
				return err
			}
			return os.WriteFile(d, nil, 0o600)
		}, "not a directory", layer.ErrAuth},
	} {
		t.Run(c.what, func(t *testing.T) {
			tr := &tree{t, t.TempDir(), base.ca}
			dir := tr.dir + "/server/x"
			if err := errors.Join(os.MkdirAll(dir, 0o755), c.make(tr, dir)); err != nil {
				t.Fatal(err)
			}
			l := NewLoader(tr.dir, nil)
			for range 2 {
				p, err := l.Server("x", Paths{}, Require{})
				if p != nil || err == nil || !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `server "x"`) {
					t.Fatalf("got %+v, %v", p, err)
				}
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		// Root may read everything, but nobody this file from its beginning.
		l := NewLoader(t.TempDir(), nil)
		if p, err := l.Server("x", Paths{Enc: "/proc/self/mem"}, Require{}); err == nil {
			t.Errorf("got %+v of unreadable memory", p)
		}
		return
	}
	tr := newTree(t)
	tr.write("server/x/enc.conf", nil)
	if err := os.Chmod(tr.dir+"/server/x/enc.conf", 0); err != nil {
		t.Fatal(err)
	}
	if p, err := NewLoader(tr.dir, nil).Server("x", Paths{}, Require{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %+v, %v", p, err)
	}
}

// TestReload changes everything while the loader lives.
func TestReload(t *testing.T) {
	tr := newTree(t)
	l := NewLoader(tr.dir, nil)
	want := func(step, cert string, algorithm kex.Algorithm, cas int) {
		t.Helper()
		for range 2 { // read, then remembered
			p, err := l.Server("x", Paths{}, Require{})
			if err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			var gotCert string
			var gotKex kex.Algorithm
			gotCAs := 0
			if p != nil {
				if p.Creds != nil {
					gotCert = pki.Name(p.Creds.Leaf)
				}
				if p.Enc != nil {
					gotKex = p.Enc.Kex
				}
				if p.Store != nil {
					gotCAs = p.Store.Len()
				}
			}
			if gotCert != cert || gotKex != algorithm || gotCAs != cas {
				t.Fatalf("%s: certificate %q, key exchange %v, %d CAs", step, gotCert, gotKex, gotCAs)
			}
		}
	}
	want("nothing", "", 0, 0)
	tr.write("server/x/enc.conf", []byte("kex = X25519"))
	want("enc.conf", "", kex.X25519, 0)
	if err := os.WriteFile(tr.dir+"/server/x/enc.conf", []byte("kex = X448\n#"), 0o600); err != nil { // same length, in place
		t.Fatal(err)
	}
	want("overwritten", "", kex.X448, 0)
	tr.install("server/x", "first")
	want("certificate", "first", kex.X448, 0)
	tr.install("server/x", "second")
	want("renewed", "second", kex.X448, 0)
	tr.trust(tr.ca)
	want("CA", "second", kex.X448, 1)
	tr.trust(newCA(t, "ca2"))
	want("second CA", "second", kex.X448, 2)
	if err := os.Remove(tr.dir + "/cacert/ca2.pem"); err != nil {
		t.Fatal(err)
	}
	want("CA removed", "second", kex.X448, 1)
	if err := os.RemoveAll(tr.dir + "/server"); err != nil {
		t.Fatal(err)
	}
	want("removed", "", 0, 1)
	if n := len(l.files) + len(l.creds); n > 0 {
		t.Errorf("%d files remembered that are no more", n)
	}
}

// TestOverwrittenCA: a CA that is overwritten in place loses its trust, and
// with it what it has vouched for.
func TestOverwrittenCA(t *testing.T) {
	tr := newTree(t)
	tr.trust(tr.ca)
	tr.install("server/x", "x")
	l := NewLoader(tr.dir, nil)
	p, err := l.Server("x", Paths{}, Require{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Store.Verify(now, p.Creds.Cert); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tr.dir+"/cacert/ca.pem", pki.MarshalCertificate(newCA(t, "ca").Leaf), 0o600); err != nil {
		t.Fatal(err)
	}
	l.trust.checked = time.Time{} // the second is over
	if p, err = l.Server("x", Paths{}, Require{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Store.Verify(now, p.Creds.Cert); err == nil {
		t.Error("a certificate of the CA that was replaced still verifies")
	}
}

func TestLog(t *testing.T) {
	tr := newTree(t)
	tr.trust(tr.ca)
	tr.write("cacert/README", []byte("no certificate"))
	tr.install("server/x", "x")
	if err := os.Chmod(tr.dir+"/server/x/key.pem", 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := NewLoader(tr.dir, slog.New(slog.NewTextHandler(&out, nil)))
	for range 3 {
		p, err := l.Server("x", Paths{}, Require{})
		if err != nil || p.Store.Len() != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		l.creds = map[[2]string]cachedCredentials{}
		l.trust.loaded = false
	}
	if n := strings.Count(out.String(), "chmod 600"); n != 1 {
		t.Errorf("%d warnings of an open key:\n%s", n, out.String())
	}
	if n := strings.Count(out.String(), "README"); n != 1 {
		t.Errorf("%d warnings of a bad CA file:\n%s", n, out.String())
	}
}

// TestRenewal replaces certificates under many look-ups: all get a pair that
// matches.
func TestRenewal(t *testing.T) {
	tr := newTree(t)
	tr.install("server/x", "x")
	l := NewLoader(tr.dir, nil)
	var pairs [8][2][]byte
	for i := range pairs {
		pairs[i][0], pairs[i][1] = tr.issue(fmt.Sprint(i))
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if p, err := l.Server("x", Paths{}, Require{}); err != nil || p == nil {
					t.Errorf("%+v, %v", p, err)
					return
				}
			}
		})
	}
	for _, p := range pairs {
		tr.write("server/x/key.pem", p[1])
		tr.write("server/x/crt.pem", p[0])
		time.Sleep(10 * time.Millisecond)
	}
	close(done)
	wg.Wait()
	if p, err := l.Server("x", Paths{}, Require{}); err != nil || pki.Name(p.Creds.Leaf) != "7" {
		t.Errorf("in the end: %+v, %v", p, err)
	}
}
