// SPDX-License-Identifier: BSD-3-Clause

package rib

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// MarshalJSON returns the entry as an object: a label without spaces and colon
// at its ends is a key, integers are numbers, times as RFC 3339 has them, what belongs
// to a heading an object in it. A second field of the same label has "#2" behind it. An
// entry of one bare word is a string, or a number.
func (e Entry) MarshalJSON() ([]byte, error) {
	if len(e.Fields) == 1 && key(e.Fields[0].Label) == "" && e.Fields[0].Value != nil {
		return json.Marshal(jsonValue(e.Fields[0].Value))
	}
	top := new(object)
	// open are the headings above the field, each with its indentation.
	type heading struct {
		indent int // -1: ends with the next heading only
		o      *object
	}
	open := []heading{}
	for k, f := range e.Fields {
		if f.Value == nil && key(f.Label) == "" {
			continue
		}
		in := indent(f.Label)
		for n := len(open); n > 0; n = len(open) {
			if h := open[n-1].indent; h >= 0 && in > h || h < 0 && f.Value != nil {
				break
			}
			open = open[:n-1]
		}
		at := top
		if n := len(open); n > 0 {
			at = open[n-1].o
		}
		if f.Value != nil {
			at.add(key(f.Label), jsonValue(f.Value))
			continue
		}
		o := new(object)
		at.add(key(f.Label), o)
		if next := k + 1; next == len(e.Fields) || indent(e.Fields[next].Label) <= in {
			in = -1
		}
		open = append(open, heading{in, o})
	}
	return top.MarshalJSON()
}

// key is a label as a program wants it.
func key(label string) string {
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(label), ":"))
}

func indent(label string) int { return len(label) - len(strings.TrimLeft(label, " ")) }

func jsonValue(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case time.Duration:
		return int64(v)
	}
	return v
}

// object is a JSON object that keeps the order of its keys.
type object struct {
	keys   []string
	values []any
	seen   map[string]int
}

func (o *object) add(key string, v any) {
	if o.seen == nil {
		o.seen = make(map[string]int)
	}
	o.seen[key]++
	if n := o.seen[key]; n > 1 {
		key = fmt.Sprintf("%s#%d", key, n)
	}
	o.keys, o.values = append(o.keys, key), append(o.values, v)
}

func (o *object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, k := range o.keys {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(o.values[i])
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}
