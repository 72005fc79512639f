// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is a position in the file, counted from 1; columns count bytes.
type place struct{ line, column int }

// tablePlaces says where one [[tunnel]] and its keys stand: the decoder tells
// that only for mistakes that it finds itself.
type tablePlaces struct {
	at   place
	keys map[string]place
}

// findPlaces walks the syntax of a document that the decoder has accepted and
// returns the places of its [[tunnel]] tables, in order.
func findPlaces(data []byte) ([]tablePlaces, error) {
	var (
		p   unstable.Parser
		all []tablePlaces
		in  *tablePlaces
	)
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			in = nil
			if k := firstKey(e); k != nil && string(k.Data) == "tunnel" && e.Kind == unstable.ArrayTable {
				all = append(all, tablePlaces{at: placeOf(data, k), keys: map[string]place{}})
				in = &all[len(all)-1]
			}
		case unstable.KeyValue:
			if k := firstKey(e); in != nil && k != nil {
				in.keys[string(k.Data)] = placeOf(data, k)
			}
		}
	}
	return all, p.Error()
}

func firstKey(e *unstable.Node) *unstable.Node {
	it := e.Key()
	if !it.Next() {
		return nil
	}
	return it.Node()
}

func placeOf(data []byte, n *unstable.Node) place {
	before := data[:min(int(n.Raw.Offset), len(data))]
	return place{1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')}
}
