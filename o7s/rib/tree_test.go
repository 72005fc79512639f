// SPDX-License-Identifier: BSD-3-Clause

package rib

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
)

func words(names ...string) Files {
	f := Files{}
	for _, n := range names {
		f[n] = func() Entry { return Word("is " + n) }
	}
	return f
}

// show is everything in a tree.
func show(t *testing.T, tree *Tree, path string) string {
	t.Helper()
	var b strings.Builder
	if err := tree.Walk(path, func(path string, e *Entry) bool {
		if e == nil {
			fmt.Fprintf(&b, "%s/ ", path)
		} else {
			fmt.Fprintf(&b, "%s=%s", path, strings.ReplaceAll(string(e.AppendText(nil)), "\n", " "))
		}
		return true
	}); err != nil {
		t.Errorf("walk %q: %v", path, err)
	}
	return strings.TrimSpace(b.String())
}

func TestTree(t *testing.T) {
	top := New()
	if s := show(t, top, ""); s != "/" {
		t.Errorf("empty: %s", s)
	}
	uni := top.Sub("/uni.a/")
	info := uni.Mount("info", words("_state", "_type"))
	lsdb := uni.Mount("lsdb", words(".dt 1", "1--2"))
	deep := uni.Mount("a//b/c", words())
	own := uni.Mount("", words("readme", "info")) // a directory hides an entry
	want := "uni.a/ uni.a/a/ uni.a/a/b/ uni.a/a/b/c/ uni.a/info/ uni.a/info/_state=is _state uni.a/info/_type=is _type " +
		"uni.a/lsdb/ uni.a/lsdb/.dt 1=is .dt 1 uni.a/lsdb/1--2=is 1--2 uni.a/readme=is readme"
	if s := show(t, top, "uni.a"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if s := show(t, uni, "info/_type"); s != "info/_type=is _type" {
		t.Errorf("subtree: %s", s)
	}
	items, err := top.List("uni.a/")
	if err != nil || fmt.Sprint(items) != "[{a true} {info true} {lsdb true} {readme false}]" {
		t.Errorf("%v %v", items, err)
	}
	if e, err := top.Read("uni.a/lsdb/.dt 1"); err != nil || string(e.AppendText(nil)) != "is .dt 1\n" {
		t.Errorf("%v %v", e, err)
	}
	for _, none := range []string{"", "/", "uni.a", "uni.a/info", "uni.a/info/x", "x", "x/y", "uni.a/info/_state/x", "..", "uni.a/../uni.a/readme"} {
		if _, err := top.Read(none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %q: %v", none, err)
		}
	}
	for _, none := range []string{"x", "uni.a/readme", "uni.a/info/_state", "uni.a/.."} {
		if _, err := top.List(none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list %q: %v", none, err)
		}
	}
	if err := top.Walk("x", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("walk x: %v", err)
	}
	n := 0
	top.Walk("", func(string, *Entry) bool { n++; return n < 4 })
	if n != 4 {
		t.Errorf("walk went on to %d", n)
	}

	// Replaced, the old one unmounted afterwards.
	newer := uni.Mount("info", words("new"))
	info()
	if s := show(t, top, "uni.a/info"); s != "uni.a/info/ uni.a/info/new=is new" {
		t.Errorf("replaced: %s", s)
	}
	for _, end := range []func(){newer, newer, info, lsdb, deep, own} {
		end()
	}
	if s := show(t, top, ""); s != "/" {
		t.Errorf("left: %s", s)
	}
}

func TestNilTree(t *testing.T) {
	var none *Tree
	none.Sub("a").Mount("b", words("c"))()
	if _, err := none.List(""); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := none.Read("b/c"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := none.Walk("", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestConcurrent: directories come and go while others read, also from within
// a directory.
func TestConcurrent(t *testing.T) {
	top := New()
	top.Mount("a", Files{"x": func() Entry {
		top.Sub("within").Mount("a", words("y"))()
		return Word("x")
	}})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 200 {
				end := top.Mount(fmt.Sprintf("b/%d", g%2), words("1", "2"))
				if err := top.Walk("", func(string, *Entry) bool { return true }); err != nil {
					t.Error(err)
				}
				end()
			}
		})
	}
	wg.Wait()
	if s := show(t, top, ""); s != "/ a/ a/x=x" {
		t.Errorf("left: %s", s)
	}
}

func TestEscape(t *testing.T) {
	for s, want := range map[string]string{
		"uni.a": "uni.a", "a/b": "a%2Fb", "..": "%2E%2E", ".": "%2E", "...": "...", "": "%", "%": "%25", "\n\x7f": "%0A%7F", "é": "é",
	} {
		if got := Escape(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

// FuzzPath: a path of any kind finds nothing, or what was mounted there.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "/", "..", "a/b", "a//b/", "\x00", strings.Repeat("a/", 1000), "a/b/_state"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, at, path string) {
		top := New()
		fixed := top.Mount("a/b", words("_state"))
		end := top.Sub(at).Mount(Escape(path), words("x"))
		if e, err := top.Sub(at).Read(Escape(path) + "/x"); err != nil || string(e.AppendText(nil)) != "is x\n" {
			t.Errorf("own entry: %v %v", e, err)
		}
		_, errRead := top.Read(path)
		_, errList := top.List(path)
		if errRead == nil && errList == nil {
			t.Errorf("%q is both", path)
		}
		if errWalk := top.Walk(path, func(string, *Entry) bool { return true }); (errWalk == nil) != (errRead == nil || errList == nil) {
			t.Errorf("%q: %v, %v, %v", path, errRead, errList, errWalk)
		}
		end()
		fixed()
		if items, err := top.List(""); err != nil || len(items) != 0 {
			t.Errorf("left: %v %v", items, err)
		}
	})
}
