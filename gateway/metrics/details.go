// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"reflect"
	"strings"

	"o7gw/gateway/report"
)

// details adds the numbers of what only this kind of object has: the fields of a
// struct, under the names that they have in JSON. The types of such fields are not
// told, so that theirs is unknown.
func details(e *exposition, o *report.Object) {
	v := reflect.ValueOf(o.Detail)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		n, ok := numeric(v.Field(i))
		if !f.IsExported() || !ok || !valid(name) || f.Type.PkgPath() == "time" {
			continue
		}
		e.add("o7gw_"+o.Kind+"_"+name, unknown, "The number "+name+" in the status of an object of kind "+o.Kind+".", n, "name", o.Name)
	}
}

func numeric(v reflect.Value) (float64, bool) {
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

// valid reports whether a name can be part of one of a metric.
func valid(name string) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return name != ""
}
