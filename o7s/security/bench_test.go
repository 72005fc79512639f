// SPDX-License-Identifier: BSD-3-Clause

package security

import (
	"path/filepath"
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
