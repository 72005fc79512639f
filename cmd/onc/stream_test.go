// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// random returns n bytes that are the same in each run.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// TestFile carries binary data from a file into a file.
func TestFile(t *testing.T) {
	dir := daemon(t)
	want := random(30<<20 + 12345)
	from := filepath.Join(t.TempDir(), "from")
	to := filepath.Join(t.TempDir(), "to")
	if err := os.WriteFile(from, want, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	server := listenWith(t, dir, files{stdout: out}, "-d", "svc")
	client := startWith(t, dir, files{stdin: in}, "svc")
	client.ends(0)
	server.ends(0)
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Fatalf("%d bytes arrived of %d, or others", len(got), len(want))
	}
}
