// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Error is a mistake in a configuration file.
type Error struct {
	File         string
	Line, Column int    // from 1; the column counts bytes
	Key          string // dotted, as a user would write it; empty for a mistake of syntax
	Msg          string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Key != "" {
		s += e.Key + ": "
	}
	return s + e.Msg
}

// position is a place in the file, as an offset in bytes.
type position int

// place is a key of the file and where it first appears. The decoder of the
// TOML library knows values but neither their places nor their order; this
// tree adds both.
type place struct {
	at   position
	keys map[string]*place
}

// child returns the place of a key below p, p itself for an unknown one.
func (p *place) child(key string) *place {
	if c := p.keys[key]; c != nil {
		return c
	}
	return p
}

// add returns the place of a key below p, noting its position the first time.
func (p *place) add(key string, at position) *place {
	c := p.keys[key]
	if c == nil {
		c = &place{at: at}
		if p.keys == nil {
			p.keys = map[string]*place{}
		}
		p.keys[key] = c
	}
	return c
}

// places walks the syntax of a document that the decoder has accepted.
func places(data []byte) (*place, error) {
	var (
		parser unstable.Parser
		root   place
	)
	parser.Reset(data)
	table := &root
	for parser.NextExpression() {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = walk(&root, e.Key())
		case unstable.KeyValue:
			walkKeyValue(table, e)
		}
	}
	return &root, parser.Error()
}

func walk(at *place, keys unstable.Iterator) *place {
	for keys.Next() {
		k := keys.Node()
		at = at.add(string(k.Data), position(k.Raw.Offset))
	}
	return at
}

func walkKeyValue(at *place, kv *unstable.Node) {
	at = walk(at, kv.Key())
	if v := kv.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			if c := it.Node(); c.Kind == unstable.KeyValue {
				walkKeyValue(at, c)
			}
		}
	}
}

// lineColumn counts from 1.
func lineColumn(data []byte, at position) (line, column int) {
	before := string(data[:min(int(at), len(data))])
	return 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')
}

// syntaxError turns an error of the TOML library into ours.
func syntaxError(err error, data []byte, filename string) error {
	var (
		decode *toml.DecodeError
		parse  *unstable.ParserError
	)
	e := &Error{File: filename, Line: 1, Column: 1, Msg: strings.TrimPrefix(err.Error(), "toml: ")}
	switch {
	case errors.As(err, &decode):
		e.Line, e.Column = decode.Position()
		e.Key = dotted(decode.Key())
	case errors.As(err, &parse):
		e.Msg = parse.Message
		e.Line, e.Column = lineColumn(data, position(cap(data)-cap(parse.Highlight)))
	}
	return e
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// dotted writes a path of keys as a TOML file would.
func dotted(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		if parts[i] = p; !bareKey.MatchString(p) {
			parts[i] = fmt.Sprintf("%q", p)
		}
	}
	return strings.Join(parts, ".")
}
