// SPDX-License-Identifier: BSD-3-Clause

package layout

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestDir(t *testing.T) {
	for name, want := range map[string]string{
		"x": "/s/server/x", "a/b": "/s/server/a/b", "...": "/s/server/...", "a b": "/s/server/a b",
		"": "", ".": "", "..": "", "/": "", "/a": "", "a/": "", "a//b": "", "../x": "", "a/../x": "", "a\x00": "",
		strings.Repeat("a", 255): "/s/server/" + strings.Repeat("a", 255), strings.Repeat("a", 256): "",
	} {
		if got, ok := Dir("/s", Server, name); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", name, got, ok)
		}
	}
}

// FuzzDir: every directory lies below that of its side, and no two names
// share one.
func FuzzDir(f *testing.F) {
	for _, name := range []string{"x", "a/b", "../x", "a/../../x", "..", "", "\x00", "a//b", "...", strings.Repeat("a", 256)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		dir, ok := Dir("/s", Client, name)
		if ok && (dir != "/s/client/"+name || filepath.Clean(dir) != dir) {
			t.Errorf("%q leads to %q", name, dir)
		}
	})
}
