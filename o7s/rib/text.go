// SPDX-License-Identifier: BSD-3-Clause

package rib

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// timeLayout is that of the prototype, for times in UTC.
const timeLayout = "2006-01-02 15:04:05 (UTC)"

// AppendText appends the entry in the form of the prototype's files, a line
// for each field.
func (e Entry) AppendText(b []byte) []byte {
	for _, f := range e.Fields {
		label := clean(f.Label)
		b = append(b, label...)
		if f.Value != nil {
			used := utf8.RuneCountInString(label)
			if used < e.LabelWidth {
				b = append(b, strings.Repeat(" ", e.LabelWidth-used)...)
				used = e.LabelWidth
			}
			v := clean(valueText(f.Value))
			if pad := e.LabelWidth + e.ValueWidth - used - utf8.RuneCountInString(v); pad > 0 {
				b = append(b, strings.Repeat(" ", pad)...)
			} else if label != "" && b[len(b)-1] != ' ' {
				b = append(b, ' ') // never one word
			}
			b = append(b, v...)
		}
		b = append(b, '\n')
	}
	return b
}

// valueText is a value as the text form shows it.
func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case time.Time:
		return v.UTC().Format(timeLayout)
	case time.Duration:
		return strconv.FormatInt(int64(v), 10) // ns, as the labels say
	}
	return fmt.Sprint(v)
}

// clean keeps a name that somebody chose from looking like lines of ours.
func clean(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) || !utf8.ValidString(s) {
		return strconv.Quote(s)
	}
	return s
}
