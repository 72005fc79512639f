// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// column of a table: right aligned, never cut.
type column struct {
	heading string
	width   int // least width, in bytes as the prototype counts
}

// printTable prints rows in the form of the prototype.
func printTable(w io.Writer, columns []column, rows [][]string) {
	var rule strings.Builder
	headings := make([]string, len(columns))
	for i, c := range columns {
		rule.WriteString("+" + strings.Repeat("-", c.width+2))
		headings[i] = c.heading
	}
	rule.WriteString("+\n")
	fmt.Fprint(w, rule.String())
	printRow(w, columns, headings)
	fmt.Fprint(w, rule.String())
	for _, r := range rows {
		printRow(w, columns, r)
	}
	fmt.Fprint(w, rule.String())
}

func printRow(w io.Writer, columns []column, cells []string) {
	for i, c := range columns {
		fmt.Fprintf(w, "| %*s ", c.width, printable(cells[i]))
	}
	fmt.Fprintln(w, "|")
}

// printable keeps a name with control characters from disturbing the
// terminal or the table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// printJSON prints a value as indented JSON.
func (c *call) printJSON(v any) error {
	enc := json.NewEncoder(c.env.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
