// SPDX-License-Identifier: BSD-3-Clause

// Package rib is the resource information base: the tree of statistics that
// every component of a node publishes (spec 20 §11, spec 40 §7). Nothing is
// stored in it; an entry is made when somebody reads it.
//
// Start with New. Components call Mount with a Dir, of which Files is the
// simplest; readers call List, Read and Walk. Entry.AppendText writes an entry
// as the prototype's files look, Entry.MarshalJSON for programs.
package rib

import (
	"maps"
	"slices"
)

// Dir makes the entries of one directory. Its methods may be called from any
// goroutine and must not block.
type Dir interface {
	// Names returns the names of the entries, sorted.
	Names() []string
	// Entry returns the entry of a name; false: there is none.
	Entry(name string) (Entry, bool)
}

// Files is a Dir whose entries are always there.
type Files map[string]func() Entry

var _ Dir = Files(nil)

// Names implements Dir.
func (f Files) Names() []string { return slices.Sorted(maps.Keys(f)) }

// Entry implements Dir.
func (f Files) Entry(name string) (Entry, bool) {
	if make := f[name]; make != nil {
		return make(), true
	}
	return Entry{}, false
}

// Entry is what one file of the tree says.
type Entry struct {
	// LabelWidth and ValueWidth are the columns of the text form: a label is
	// padded to the first, and a value ends where both together end unless it
	// is too long; 0: as it comes.
	LabelWidth, ValueWidth int
	Fields                 []Field
}

// Field is a line of an entry. Without a Value it is a heading: the label of
// the fields below it that are indented deeper than it is, or, if the next one is
// not, of all fields up to the next heading. Without a Label too it is an empty line.
type Field struct {
	Label string // with its colon, as the text form shows it
	Value any    // string, an integer, or a time.Time
}

// Node is what stands at a path of a tree, for those who carry it elsewhere.
type Node struct {
	Path  string // from the top
	Dir   bool
	Entry Entry // empty for a directory, or where only names are told
}

// Word is an entry of one bare word.
func Word(s string) Entry { return Entry{Fields: []Field{{Value: s}}} }
