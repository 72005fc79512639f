// SPDX-License-Identifier: BSD-3-Clause

package rib

import (
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Columns of entries that have no form of the prototype's.
const (
	LabelWidth = 33
	ValueWidth = 20
)

// Counters is the entry of a struct: a line for each exported field that is a
// string, a boolean, a number or a time, in their order, with a label made of its name.
func Counters(v any) Entry {
	e := Entry{LabelWidth: LabelWidth, ValueWidth: ValueWidth}
	s := reflect.ValueOf(v)
	for k := range s.NumField() {
		f := s.Type().Field(k)
		if value, ok := plain(s.Field(k)); ok && f.IsExported() {
			e.Fields = append(e.Fields, Field{Label: phrase(f.Name) + ":", Value: value})
		}
	}
	return e
}

func plain(v reflect.Value) (any, bool) {
	if !v.CanInterface() {
		return nil, false
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Float64:
		return v.Interface(), true
	case reflect.Struct:
		t, ok := v.Interface().(time.Time)
		return t, ok
	}
	if v.CanInt() || v.CanUint() {
		return v.Interface(), true
	}
	return nil, false
}

// phrase is a name of Go in words: "DropNoFlow" is "Drop no flow", "GSOBatches"
// "GSO batches".
func phrase(name string) string {
	var words []string
	runes := []rune(name)
	for begin, k := 0, 1; k <= len(runes); k++ {
		upper := func(at int) bool { return at < len(runes) && unicode.IsUpper(runes[at]) }
		if k < len(runes) && (!upper(k) || upper(k-1) && (k+1 == len(runes) || upper(k+1))) {
			continue
		}
		w := string(runes[begin:k])
		if begin > 0 && !(len(w) > 1 && w == strings.ToUpper(w)) {
			w = strings.ToLower(w)
		}
		words = append(words, w)
		begin = k
	}
	return strings.Join(words, " ")
}
