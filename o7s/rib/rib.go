// SPDX-License-Identifier: BSD-3-Clause

// Package rib is the resource information base: the tree of statistics that
// every component of a node publishes (spec 20 §11, spec 40 §7). Nothing is
// stored in it; an entry is made when somebody reads it.
//
// Components call Mount with a Dir; readers call List and Read.
package rib

// Dir makes the entries of one directory. Its methods may be called from any
// goroutine and must not block.
type Dir interface {
	// Names returns the names of the entries, sorted.
	Names() []string
	// Entry returns the entry of a name; false: there is none.
	Entry(name string) (Entry, bool)
}

// Entry is what one file of the tree says.
type Entry struct {
	// LabelWidth and ValueWidth are the columns of the text form: the label
	// is padded to the first, the value right-aligned in the second; 0: as
	// it comes.
	LabelWidth, ValueWidth int
	Fields                 []Field
}

// Field is a line of an entry. Without a Value it is a heading: the label of
// the fields up to the next heading.
type Field struct {
	Label string // with its colon, as the text form shows it
	Value any    // string, an integer, or a time.Time
}

// Tree is a RIB, or a subtree of one. A nil *Tree takes everything and keeps
// nothing, so that components need not ask.
type Tree struct{}

// Mount makes a directory appear at the path below t until unmount is called. A
// path that is in use is replaced.
func (t *Tree) Mount(path string, d Dir) (unmount func()) { return func() {} }

// Sub returns the subtree at the path.
func (t *Tree) Sub(path string) *Tree { return t }
