// SPDX-License-Identifier: BSD-3-Clause

package rib

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Tree is a RIB, or a subtree of one. A nil *Tree takes everything and keeps
// nothing, so that components need not ask. All methods may be called at the
// same time.
//
// A path is a number of names with a slash between each two; empty names do
// not count, so "", "/" and "a//b/" are paths too. Names are exact: there is no ".."
// in a RIB. A name from outside becomes one of a path by Escape.
type Tree struct {
	root *root
	at   []string
}

type root struct {
	mu  sync.RWMutex
	top node // guarded by mu
}

// node is a directory: of a component, of others, or both.
type node struct {
	mounted *mount
	below   map[string]*node
}

type mount struct{ dir Dir }

// New returns an empty tree.
func New() *Tree { return &Tree{root: new(root)} }

// Sub returns the subtree at the path.
func (t *Tree) Sub(path string) *Tree {
	if t == nil {
		return nil
	}
	return &Tree{root: t.root, at: t.elements(path)}
}

// elements returns the names from the root to a path of the subtree.
func (t *Tree) elements(path string) []string {
	all := slices.Clone(t.at)
	for name := range strings.SplitSeq(path, "/") {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// Mount makes a directory appear at the path below t until unmount is called. A
// path that is in use is replaced.
func (t *Tree) Mount(path string, d Dir) (unmount func()) {
	if t == nil {
		return func() {}
	}
	names := t.elements(path)
	m := &mount{dir: d}
	t.root.mu.Lock()
	defer t.root.mu.Unlock()
	n := &t.root.top
	for _, name := range names {
		next := n.below[name]
		if next == nil {
			next = new(node)
			if n.below == nil {
				n.below = make(map[string]*node)
			}
			n.below[name] = next
		}
		n = next
	}
	n.mounted = m
	return func() {
		t.root.mu.Lock()
		defer t.root.mu.Unlock()
		t.root.top.remove(names, m)
	}
}

// remove takes out a mount, and the directories that are empty without it.
func (n *node) remove(names []string, m *mount) {
	if len(names) == 0 {
		if n.mounted == m {
			n.mounted = nil
		}
		return
	}
	next := n.below[names[0]]
	if next == nil { // replaced and unmounted
		return
	}
	next.remove(names[1:], m)
	if next.mounted == nil && len(next.below) == 0 {
		delete(n.below, names[0])
	}
}

// Item is a name in a directory.
type Item struct {
	Name string
	Dir  bool
}

// errNone is the error of a path that is not there.
func errNone(path string) error { return fmt.Errorf("no %q in the RIB: %w", path, fs.ErrNotExist) }

// find returns the directory at a path, and what stands in it.
func (t *Tree) find(names []string) (d Dir, below []string, ok bool) {
	t.root.mu.RLock()
	defer t.root.mu.RUnlock()
	n := &t.root.top
	for _, name := range names {
		if n = n.below[name]; n == nil {
			return nil, nil, false
		}
	}
	for name := range n.below {
		below = append(below, name)
	}
	if n.mounted != nil {
		d = n.mounted.dir
	}
	return d, below, true
}

// List returns what stands in the directory at the path, sorted by name. The
// error of a path that is no directory wraps fs.ErrNotExist.
func (t *Tree) List(path string) ([]Item, error) {
	if t == nil {
		return nil, errNone(path)
	}
	items, ok := t.list(t.elements(path))
	if !ok {
		return nil, errNone(path)
	}
	return items, nil
}

func (t *Tree) list(names []string) ([]Item, bool) {
	d, below, ok := t.find(names)
	if !ok {
		return nil, false
	}
	var items []Item
	for _, name := range below {
		items = append(items, Item{Name: name, Dir: true})
	}
	if d != nil { // no lock is held: it may mount and unmount
		for _, name := range d.Names() {
			if !slices.Contains(below, name) {
				items = append(items, Item{Name: name})
			}
		}
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Name, b.Name) })
	return items, true
}

// Read returns the entry at the path. The error of a path that is none wraps
// fs.ErrNotExist.
func (t *Tree) Read(path string) (Entry, error) {
	if t == nil {
		return Entry{}, errNone(path)
	}
	names := t.elements(path)
	if len(names) == 0 {
		return Entry{}, errNone(path)
	}
	e, ok := t.read(names)
	if !ok {
		return Entry{}, errNone(path)
	}
	return e, nil
}

func (t *Tree) read(names []string) (Entry, bool) {
	last := len(names) - 1
	d, below, ok := t.find(names[:last])
	if !ok || d == nil || slices.Contains(below, names[last]) {
		return Entry{}, false
	}
	return d.Entry(names[last])
}

// Walk calls f for all that stands at and below the path, in order of names: for
// a directory, before what is in it, with no entry; the path is relative to t. It ends
// early when f returns false. The error of a path that is not there wraps
// fs.ErrNotExist; what disappears on the way is left out.
func (t *Tree) Walk(path string, f func(path string, e *Entry) bool) error {
	if t == nil {
		return errNone(path)
	}
	names := t.elements(path)
	if _, _, ok := t.find(names); ok {
		t.walk(names, f)
		return nil
	}
	if len(names) > 0 {
		if e, ok := t.read(names); ok {
			f(t.relative(names), &e)
			return nil
		}
	}
	return errNone(path)
}

func (t *Tree) relative(names []string) string { return strings.Join(names[len(t.at):], "/") }

func (t *Tree) walk(names []string, f func(path string, e *Entry) bool) bool {
	if !f(t.relative(names), nil) {
		return false
	}
	items, _ := t.list(names)
	for _, item := range items {
		next := append(slices.Clone(names), item.Name)
		if item.Dir {
			if !t.walk(next, f) {
				return false
			}
		} else if e, ok := t.read(next); ok && !f(t.relative(next), &e) {
			return false
		}
	}
	return true
}

// Escape makes one name of a path from a text of any kind: what would divide
// or hide it becomes %XX.
func Escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '/' || c == '%' || c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	switch e := b.String(); e {
	case "":
		return "%"
	case ".", "..": // a file system could not show them
		return strings.ReplaceAll(e, ".", "%2E")
	default:
		return e
	}
}

// Unescape returns the text that Escape made the name of; false: there is none.
func Unescape(name string) (string, bool) {
	if name == "%" {
		return "", true
	}
	var b []byte
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '%' {
			if i+2 >= len(name) {
				return "", false
			}
			v, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(v), i+2
		}
		b = append(b, c)
	}
	s := string(b)
	return s, Escape(s) == name
}
