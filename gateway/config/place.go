// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is a position in the file, counted from 1; columns count bytes.
type place struct{ line, column int }

// tablePlaces says where one table of the gateway and its keys stand: the
// decoder tells that only for mistakes that it finds itself.
type tablePlaces struct {
	at   place
	keys map[string]place
}

// places are the tables of a file by kind ("tunnel", "expose"), in order.
type places map[string][]tablePlaces

// findPlaces walks the syntax of a document that the decoder has accepted. A
// table within a table of a kind, such as [[exit.allow]], counts as a key of
// the outer one. Tables written inline have no place of their own.
func findPlaces(data []byte) (places, error) {
	var (
		p   unstable.Parser
		all = places{}
		in  *tablePlaces
	)
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		first, second := keysOf(e)
		if first == nil {
			continue
		}
		kind := string(first.Data)
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			in = nil
			list := all[kind]
			switch {
			case second == nil:
				all[kind] = append(list, tablePlaces{at: placeOf(data, first), keys: map[string]place{}})
				in = &all[kind][len(list)]
			case len(list) > 0:
				list[len(list)-1].note(second, data)
			}
		case unstable.KeyValue:
			if in != nil {
				in.note(first, data)
			}
		}
	}
	return all, p.Error()
}

// note records where a key stands first.
func (t *tablePlaces) note(key *unstable.Node, data []byte) {
	if _, ok := t.keys[string(key.Data)]; !ok {
		t.keys[string(key.Data)] = placeOf(data, key)
	}
}

// keysOf returns the first two parts of a dotted key; nil: there is none.
func keysOf(e *unstable.Node) (first, second *unstable.Node) {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable, unstable.KeyValue:
	default:
		return nil, nil
	}
	it := e.Key()
	if it.Next() {
		first = it.Node()
	}
	if it.Next() {
		second = it.Node()
	}
	return first, second
}

func placeOf(data []byte, n *unstable.Node) place {
	before := data[:min(int(n.Raw.Offset), len(data))]
	return place{1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')}
}
