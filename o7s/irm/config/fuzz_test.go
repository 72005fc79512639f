// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse: no input panics, every mistake has a place in the file, and what
// is accepted keeps its bounds.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(samples) == 0 {
		f.Fatal("no samples", err)
	}
	for _, s := range append(samples, "../../../configs/irmd.toml") {
		data, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("[udp4.u]\nbootstrap='l'\nip='1.2.3.4'\nhosts={a='1.2.3.4',\"b.c\"=['1.2.3.5']}\nmtu=1500\n"))
	f.Add([]byte("unicast.a.enroll = 'x'\nunicast.a.conn = ['y']\nunicast.a.routing = 'ecmp'"))
	f.Add([]byte("[[local]]\n[name]\n'' = {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data, "f")
		if err != nil {
			all := Errors(err)
			if len(all) == 0 {
				t.Fatalf("%T is not ours: %v", err, err)
			}
			for _, e := range all {
				if e.Line < 1 || e.Column < 1 || e.Line > 1+bytes.Count(data, []byte("\n")) {
					t.Fatalf("%v is outside of the file", e)
				}
			}
			return
		}
		for _, n := range file.Names {
			if n.Name == "" || len(n.Name) > maxName {
				t.Fatalf("name %q", n.Name)
			}
		}
		seen := map[string]bool{}
		for _, p := range file.IPCPs {
			if p.Name == "" || len(p.Name) > maxName || seen[p.Name] || len(p.Config.Layer) > maxName {
				t.Fatalf("IPCP %+v", p)
			}
			seen[p.Name] = true
		}
		if _, err := ParseTables(data, "f"); err != nil {
			t.Fatalf("as part of a file: %v", err)
		}
	})
}
