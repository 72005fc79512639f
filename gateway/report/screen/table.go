// SPDX-License-Identifier: BSD-3-Clause

package screen

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table is rows of columns as wide as they need be; a column in which no row
// has anything is left out.
type table struct {
	columns []string
	rows    [][]string // one of a single cell is a note
}

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// note adds a line below a row.
func (t *table) note(text string) { t.rows = append(t.rows, []string{clean(text)}) }

// lines writes the table behind an empty line, with an indentation; nothing of
// an empty one.
func (t *table) lines(indent string) []line {
	if len(t.rows) == 0 {
		return nil
	}
	widths := make([]int, len(t.columns)) // 0: left out
	for _, r := range t.rows {
		for i, cell := range r {
			if len(r) > 1 && cell != "" {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell), len(t.columns[i]))
			}
		}
	}
	write := func(cells []string) string {
		var b strings.Builder
		b.WriteString(indent)
		for i, cell := range cells {
			if widths[i] > 0 {
				b.WriteString(cell)
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	out := []line{{}, {head, write(t.columns)}}
	for _, r := range t.rows {
		if len(r) == 1 {
			out = append(out, line{bad, indent + r[0]})
		} else {
			out = append(out, line{text: write(r)})
		}
	}
	return out
}

// maxCell bounds a text from elsewhere, characters.
const maxCell = 200

// clean takes out what a terminal would obey, not show.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) > maxCell {
		s = string([]rune(s)[:maxCell-1]) + "…"
	}
	return s
}

// Size writes a number of bytes for people.
func Size(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	return scaled(float64(n), "B")
}

// Speed writes bytes/s for people, as bits/s.
func Speed(n float64) string {
	if n < 125 {
		return fmt.Sprintf("%.0f bit/s", 8*n)
	}
	return scaled(8*n, "bit/s")
}

func scaled(f float64, unit string) string {
	prefixes := []string{"", "k", "M", "G", "T", "P", "E"}
	i := 0
	for f >= 1000 && i < len(prefixes)-1 {
		f /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %s%s", f, prefixes[i], unit)
}
