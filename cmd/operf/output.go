// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// output is standard output and standard error for several goroutines. With
// --json standard output carries nothing but results.
type output struct {
	json, quiet    bool
	stdout, stderr io.Writer

	mu sync.Mutex // held while a line is written
}

func newOutput(opt options, stdout, stderr io.Writer) *output {
	return &output{json: opt.json, quiet: (opt.quiet || opt.json) && !opt.listen, stdout: stdout, stderr: stderr}
}

// say prints a line of the course of a test, which a quiet client leaves out.
func (o *output) say(format string, args ...any) {
	if !o.quiet {
		o.notice(format, args...)
	}
}

// notice prints a line that is never left out.
func (o *output) notice(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.stdout
	if o.json {
		w = o.stderr
	}
	fmt.Fprintf(w, format, args...)
}

// fail prints what went wrong: in the prototype's words, and why.
func (o *output) fail(what string, err error) {
	o.notice("%s\n", what)
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.stderr, "operf: %v\n", err)
}

// write prints prepared lines.
func (o *output) write(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stdout.Write(p)
}

// result prints the figures of a test: as a text, or as an object on one line.
func (o *output) result(r *result) {
	if !o.json {
		o.write([]byte(r.text()))
		return
	}
	line, _ := json.Marshal(r) // always encodes
	o.write(append(line, '\n'))
}
