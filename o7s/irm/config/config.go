// SPDX-License-Identifier: BSD-3-Clause

// Package config reads the TOML file that sets up a node: names, IPC processes
// and layers (spec 40 §4), and applies it to an IRM.
//
// Start with Load, then File.Check to test a file on this machine and
// File.Apply to make it so. A program that embeds a node and keeps these
// tables in a file of its own calls ParseTables.
//
// Differences from the prototype: unknown keys are errors, and errors name
// file, line, column and key; names are made first and IPC processes then in
// the order of the file, so that types may be mixed; a file that fails
// half-way is undone.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
)

// maxSize is the largest file that Load reads, in bytes: far above any real
// one, it keeps a wrong path from filling the memory.
const maxSize = 1 << 20

// File is a configuration that was read without a mistake.
type File struct {
	Filename string
	Names    []irm.NameInfo // with their programs, in the order of the file
	IPCPs    []IPCP         // in the order of the file
}

// IPCP is one table of an IPC process. Steps are taken in the order of the
// fields.
type IPCP struct {
	Type ipcp.Type
	Name string
	// Enroll is the destination to enroll with; Config is used if it is empty
	// and Config.Layer is not.
	Enroll   string
	Config   ipcp.Config
	Autobind bool     // bind the IPCP to its own and its layer's name
	Register []string // names to register in the layer
	Connect  []string // members to connect to, after Enroll

	line int // of the file, for errors of Apply
}

// tables are the top-level words of a file: name, and the types of IPCPs.
func tables() []string {
	words := []string{"name"}
	for t := ipcp.Local; t <= ipcp.UDP6; t++ {
		words = append(words, t.String())
	}
	return words
}

// Load reads a file. It does not look at the machine: see Check.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(data, path)
}

// Parse reads a whole file; the name is for error texts. An error is an *Error
// or several joined, one for each mistake.
func Parse(data []byte, filename string) (*File, error) {
	return parse(data, filename, true)
}

// ParseTables reads the tables of a node from a file that holds other things
// too, which it leaves alone. Embed Tables to let a strict decoder accept them.
func ParseTables(data []byte, filename string) (*File, error) {
	return parse(data, filename, false)
}

// Tables is embedded in the configuration struct of a program whose file may
// hold the tables of a node, so that a decoder that refuses unknown keys
// accepts them. Their content is read by ParseTables.
type Tables struct {
	Name      map[string]any `toml:"name"`
	Local     map[string]any `toml:"local"`
	Unicast   map[string]any `toml:"unicast"`
	Broadcast map[string]any `toml:"broadcast"`
	EthLLC    map[string]any `toml:"eth-llc"`
	EthDIX    map[string]any `toml:"eth-dix"`
	UDP4      map[string]any `toml:"udp4"`
	UDP6      map[string]any `toml:"udp6"`
}

func parse(data []byte, filename string, whole bool) (*File, error) {
	if len(data) > maxSize {
		return nil, &Error{File: filename, Line: 1, Column: 1, Msg: fmt.Sprintf("the file is longer than %d bytes", maxSize)}
	}
	var vals map[string]any
	if err := toml.Unmarshal(data, &vals); err != nil {
		return nil, syntaxError(err, data, filename)
	}
	root, err := places(data)
	if err != nil {
		return nil, syntaxError(err, data, filename)
	}
	doc := &document{file: filename, data: data}
	top, _ := newTable(doc, nil, root, map[string]any(vals))
	f := &File{Filename: filename}
	taken := map[string]string{} // IPCP name: table
	for _, e := range entries(top) {
		t, ok := top.entry(e)
		if !ok {
			continue
		}
		if e.word == "name" {
			f.Names = append(f.Names, parseName(t, e.name))
			continue
		}
		if first, dup := taken[e.name]; dup {
			t.errorf("", "the name of this IPCP is taken by %s", first)
		}
		taken[e.name] = dotted(t.path)
		kind, err := ipcp.ParseType(e.word)
		if err != nil {
			return nil, err
		}
		p := parseIPCP(t, kind, e.name)
		p.line, _ = lineColumn(data, e.at)
		f.IPCPs = append(f.IPCPs, p)
	}
	if whole {
		for _, key := range top.keys() {
			if !top.used[key] {
				top.errorf(key, "unknown table; a file has %s", strings.Join(tables(), ", "))
			}
		}
	}
	if err := doc.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// entry is one table [word.name].
type entry struct {
	word, name string
	at         position
	value      any
}

// entries returns the entries of all known top-level words in the order of
// the file.
func entries(top *table) []entry {
	var all []entry
	for _, word := range tables() {
		if _, ok := top.vals[word]; !ok {
			continue
		}
		group, ok := top.sub(word)
		if !ok {
			continue
		}
		for _, name := range group.keys() {
			all = append(all, entry{word, name, group.at.child(name).at, group.vals[name]})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return int(a.at - b.at) })
	return all
}

// entry returns the table of an entry.
func (t *table) entry(e entry) (*table, bool) {
	group := t.at.child(e.word)
	return newTable(t.doc, []string{e.word, e.name}, group.child(e.name), e.value)
}

// Errors returns the single mistakes in an error of Parse.
func Errors(err error) []*Error {
	var (
		one  *Error
		many interface{ Unwrap() []error }
		all  []*Error
	)
	if errors.As(err, &many) {
		for _, e := range many.Unwrap() {
			all = append(all, Errors(e)...)
		}
	} else if errors.As(err, &one) {
		all = append(all, one)
	}
	return all
}
