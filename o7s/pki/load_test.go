// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func writeFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadCredentials(t *testing.T) {
	dir := t.TempDir()
	leaf := newLeaf(t, newCA(t, "p256", "ca"), "ml-dsa-44", "x")
	key, err := MarshalKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	crt, keyFile := writeFile(t, dir+"/crt.pem", MarshalCertificate(leaf.Leaf)), writeFile(t, dir+"/key.pem", key)
	got, err := LoadCredentials(crt, keyFile)
	if err != nil || Name(got.Leaf) != "x" || !sameKey(got.Key.Public(), leaf.Key.Public()) || string(got.Cert) != string(leaf.Cert) {
		t.Fatal(err)
	}
	other, err := MarshalKey(newKey(t, "ml-dsa-44"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCredentials(crt, writeFile(t, dir+"/other.pem", other)); !errors.Is(err, ErrPair) || !strings.Contains(err.Error(), "other.pem") {
		t.Errorf("another key: %v", err)
	}
	if _, err := LoadCredentials(crt, dir+"/missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no key: %v", err)
	}
	if _, err := LoadCredentials(dir, keyFile); err == nil {
		t.Error("a directory for a certificate")
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/full", make([]byte, MaxFile))
	writeFile(t, dir+"/over", make([]byte, MaxFile+1))
	if err := errors.Join(unix.Mkfifo(dir+"/pipe", 0o600), os.Symlink("full", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	for file, ok := range map[string]bool{"full": true, "over": false, "pipe": false, "link": true, ".": false, "missing": false} {
		data, info, err := ReadFile(filepath.Join(dir, file))
		if (err == nil) != ok || ok && (len(data) != MaxFile || info.Size() != MaxFile) {
			t.Errorf("%s: %d bytes, %v", file, len(data), err)
		}
	}
}

// TestLoadStore: what can be used is, and the error names the rest.
func TestLoadStore(t *testing.T) {
	dir := t.TempDir()
	if s, err := LoadStore(dir); err != nil || s.Len() != 0 {
		t.Fatalf("missing directories: %v", err)
	}
	root, other := newCA(t, "p256", "root"), newCA(t, "ml-dsa-44", "other")
	sub := subCA(t, root, "p256", "sub")
	sub2 := subCA(t, root, "p256", "sub2")
	leaf, leaf2, stranger := newLeaf(t, sub, "p256", "leaf"), newLeaf(t, sub2, "p256", "leaf2"), newLeaf(t, other, "p256", "stranger")
	writeFile(t, dir+"/cacert/root.pem", append(MarshalCertificate(root.Leaf), MarshalCertificate(other.Leaf)...)) // only the first counts
	writeFile(t, dir+"/cacert/sub.pem", MarshalCertificate(sub.Leaf))                                              // no root in the wrong place
	writeFile(t, dir+"/untrusted/sub2.crt", MarshalCertificate(sub2.Leaf))
	writeFile(t, dir+"/untrusted/other", MarshalCertificate(other.Leaf)) // self-signed, and not trusted
	s, err := LoadStore(dir)
	if err != nil || s.Len() != 4 {
		t.Fatalf("%d certificates, %v", s.Len(), err)
	}
	writeFile(t, dir+"/cacert/bad.pem", []byte("nothing"))
	writeFile(t, dir+"/untrusted/dir/x", nil)
	if err := os.Symlink("nowhere", dir+"/cacert/link"); err != nil {
		t.Fatal(err)
	}
	if s, err = LoadStore(dir); err == nil || s.Len() != 4 {
		t.Fatalf("%d certificates, %v", s.Len(), err)
	}
	for _, file := range []string{"cacert/bad.pem", "untrusted/dir", "cacert/link"} {
		if !strings.Contains(err.Error(), file) {
			t.Errorf("%s is missing in: %v", file, err)
		}
	}
	for c, good := range map[*Credentials]bool{leaf: true, leaf2: true, stranger: false, sub: true} {
		if _, err := s.Verify(day, c.Cert); (err == nil) != good {
			t.Errorf("%s: %v", Name(c.Leaf), err)
		}
	}
}
