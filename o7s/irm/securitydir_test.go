// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/pki"
)

// secDir is the security directory of a node.
type secDir struct {
	t   testing.TB
	dir string
}

func newSecDir(t testing.TB) secDir { return secDir{t, t.TempDir()} }

// write puts files into the directory, each in one step.
func (d secDir) write(files map[string]string) {
	d.t.Helper()
	for name, content := range files {
		path := filepath.Join(d.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			d.t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			d.t.Fatal(err)
		}
	}
}

// authority is a CA of tests, and a certificate of it for "svc".
type authority struct {
	ca *pki.Credentials
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := pki.GenerateKey(rand.Reader, "ed25519")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA(rand.Reader, key, name, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &authority{ca}
}

// pair returns the files of a certificate for a name, in a directory such as
// "server/svc", and its key; it expires in the given time.
func (a *authority) pair(t testing.TB, dir, name string, expires time.Duration) map[string]string {
	t.Helper()
	key, err := pki.GenerateKey(rand.Reader, "p256")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.Issue(rand.Reader, a.ca, key.Public(), name, time.Now().Add(-time.Hour), time.Now().Add(expires))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := pki.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{dir + "/crt.pem": string(pki.MarshalCertificate(c)), dir + "/key.pem": string(pem)}
}

// root returns the file by which a node trusts the authority.
func (a *authority) root() map[string]string {
	return map[string]string{"cacert/" + pki.Name(a.ca.Leaf) + ".pem": string(pki.MarshalCertificate(a.ca.Leaf))}
}

// logText collects a log.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logText) has(s string) bool { return strings.Contains(l.String(), s) }

func (l *logText) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.Level(-100)}))
}

// secured is a node with a security directory and a log, in the layer "net".
type secured struct {
	*IRM
	secDir
	log *logText
	ipc *fakeIPCP
}

func newSecured(t testing.TB, n *fakeNet, files ...map[string]string) *secured {
	t.Helper()
	s := &secured{secDir: newSecDir(t), log: new(logText)}
	for _, f := range files {
		s.write(f)
	}
	s.IRM = nodeWith(t, Options{Factory: n.factory, Security: s.dir, Log: s.log.logger()})
	_, s.ipc = inLayer(t, s.IRM, ipcp.UDP4, "net")
	return s
}
