// SPDX-License-Identifier: BSD-3-Clause

package security

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkLookup is what a flow pays for its files.
func BenchmarkLookup(b *testing.B) {
	tr := newTree(b)
	tr.trust(tr.ca)
	tr.install("server/x", "x")
	tr.write("server/x/enc.conf", []byte("kex = X25519"))
	time.Sleep(2 * settle) // what was written just now is not kept
	l := NewLoader(tr.dir, nil)
	none := NewLoader(filepath.Join(tr.dir, "missing"), nil)
	for _, c := range []struct {
		what, name string
		l          *Loader
	}{{"all", "x", l}, {"only-ca", "y", l}, {"none", "x", none}} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.l.Server(c.name, Paths{}, Require{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzName: no name leads to a file out of its own directory.
func FuzzName(f *testing.F) {
	for _, name := range []string{"x", "a/b", "../x", "a/../../x", "..", "", "\x00", "a//b", "...", strings.Repeat("a", 256)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !usable(name) {
			return
		}
		p := at(filepath.Join("/dir/server", name), "", FileKey)
		if p.path != "/dir/server/"+name+"/key.pem" || filepath.Clean(p.path) != p.path {
			t.Errorf("%q leads to %q", name, p.path)
		}
	})
}
