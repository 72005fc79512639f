// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// document collects what is wrong with a file, so that a user sees all of it
// at once.
type document struct {
	file     string
	data     []byte
	mistakes []mistake
}

type mistake struct {
	at   position
	path []string
	msg  string
}

// maxErrors is how many mistakes are told: more help nobody, and each costs a
// walk through the file for its line.
const maxErrors = 20

func (d *document) errorf(at position, path []string, format string, args ...any) {
	d.mistakes = append(d.mistakes, mistake{at, path, fmt.Sprintf(format, args...)})
}

// err joins the mistakes in the order of the file.
func (d *document) err() error {
	slices.SortStableFunc(d.mistakes, func(a, b mistake) int { return int(a.at - b.at) })
	var errs []error
	for i, m := range d.mistakes {
		e := &Error{File: d.file, Key: dotted(m.path), Msg: m.msg}
		e.Line, e.Column = lineColumn(d.data, m.at)
		errs = append(errs, e)
		if more := len(d.mistakes) - i - 1; i+1 == maxErrors && more > 0 {
			e.Msg += fmt.Sprintf(" (and %d more mistakes)", more)
			break
		}
	}
	return errors.Join(errs...)
}

// table reads the keys of one TOML table. Each getter accepts several
// spellings of a key, returns false if none is there, and notes a mistake for
// a wrong type. close notes the keys that nobody asked for.
type table struct {
	doc  *document
	path []string
	at   *place
	vals map[string]any
	used map[string]bool
}

func newTable(doc *document, path []string, at *place, value any) (*table, bool) {
	vals, ok := value.(map[string]any)
	if !ok {
		doc.errorf(at.at, path, "must be a table, not %s", kindOf(value))
		return nil, false
	}
	return &table{doc: doc, path: path, at: at, vals: vals, used: map[string]bool{}}, true
}

// keys returns the keys in the order of the file.
func (t *table) keys() []string {
	return slices.SortedFunc(maps.Keys(t.vals), func(a, b string) int {
		if c := int(t.at.child(a).at - t.at.child(b).at); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
}

// sub returns the table below a key.
func (t *table) sub(key string) (*table, bool) {
	t.used[key] = true
	return newTable(t.doc, t.below(key), t.at.child(key), t.vals[key])
}

func (t *table) below(key string) []string { return append(slices.Clone(t.path), key) }

// errorf notes a mistake at a key, or at the table itself for an empty key.
func (t *table) errorf(key, format string, args ...any) {
	if key == "" {
		t.doc.errorf(t.at.at, t.path, format, args...)
		return
	}
	t.doc.errorf(t.at.child(key).at, t.below(key), format, args...)
}

// get returns the value of a key and the spelling that the file uses.
func (t *table) get(spellings ...string) (value any, key string, ok bool) {
	for _, s := range spellings {
		v, here := t.vals[s]
		if !here {
			continue
		}
		t.used[s] = true
		if ok {
			t.errorf(s, "is the same as %s, which is set too", key)
			continue
		}
		value, key, ok = v, s, true
	}
	return value, key, ok
}

func (t *table) string(dst *string, spellings ...string) (key string, ok bool) {
	v, key, ok := t.get(spellings...)
	if !ok {
		return "", false
	}
	s, isString := v.(string)
	if !isString {
		t.errorf(key, "must be a string, not %s", kindOf(v))
		return key, false
	}
	*dst = s
	return key, true
}

// int reads an integer between lo and hi.
func (t *table) int(dst *int, lo, hi int64, spellings ...string) bool {
	v, key, ok := t.get(spellings...)
	if !ok {
		return false
	}
	n, isInt := v.(int64)
	switch {
	case !isInt:
		t.errorf(key, "must be an integer, not %s", kindOf(v))
		return false
	case n < lo || n > hi:
		t.errorf(key, "must be between %d and %d, not %d", lo, hi, n)
		return false
	}
	*dst = int(n)
	return true
}

func (t *table) bool(dst *bool, key string) {
	v, _, ok := t.get(key)
	if !ok {
		return
	}
	b, isBool := v.(bool)
	if !isBool {
		t.errorf(key, "must be true or false, not %s", kindOf(v))
		return
	}
	*dst = b
}

// strings reads an array of strings; ok tells whether the key is there and right.
func (t *table) strings(key string) (list []string, ok bool) {
	v, _, ok := t.get(key)
	if !ok {
		return nil, false
	}
	array, isArray := v.([]any)
	if !isArray {
		t.errorf(key, "must be an array of strings, not %s", kindOf(v))
		return nil, false
	}
	for i, e := range array {
		s, isString := e.(string)
		if !isString {
			t.errorf(key, "must be an array of strings; element %d is %s", i+1, kindOf(e))
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// word reads a string that must be one of the words; the map gives the
// spelling that the IRM uses.
func (t *table) word(dst *string, words map[string]string, spellings ...string) {
	var s string
	key, ok := t.string(&s, spellings...)
	if !ok {
		return
	}
	w, known := words[s]
	if !known {
		t.errorf(key, "%q is none of %s", s, strings.Join(slices.Sorted(maps.Keys(words)), ", "))
		return
	}
	*dst = w
}

// close notes an error for each key that no getter asked for.
func (t *table) close() {
	for _, key := range t.keys() {
		if !t.used[key] {
			t.errorf(key, "unknown key")
		}
	}
}

// maxName is the longest name of a service, an IPCP or a layer (spec 40 §0.1).
const maxName = 255

// checkName notes a name that the IRM would refuse.
func (t *table) checkName(key, what, name string) bool {
	switch {
	case name == "":
		t.errorf(key, "%s name is empty", what)
	case len(name) > maxName:
		t.errorf(key, "%s name is longer than %d bytes", what, maxName)
	default:
		return true
	}
	return false
}

// kindOf names a TOML value in an error text.
func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}
