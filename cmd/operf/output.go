// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"io"

	"o7gw/o7s/load"
)

// output is that of a test, whose course a quiet client leaves out.
type output struct {
	load.Output
	quiet bool
}

func newOutput(opt options, stdout, stderr io.Writer) *output {
	return &output{
		Output: load.Output{Tool: "operf", JSON: opt.json, Stdout: stdout, Stderr: stderr},
		quiet:  (opt.quiet || opt.json) && !opt.listen,
	}
}

// course prints a line of the course of a test.
func (o *output) course(format string, args ...any) {
	if !o.quiet {
		o.Say(format, args...)
	}
}

// result prints the figures of a test: as a text, or as an object on one line.
func (o *output) result(r *result) {
	if o.JSON {
		o.Object(r)
	} else {
		io.WriteString(o, r.text())
	}
}
