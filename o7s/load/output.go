// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Output is standard output and standard error of a tool for several
// goroutines. With JSON standard output carries nothing but objects.
type Output struct {
	Tool           string // in front of reasons
	JSON           bool
	Stdout, Stderr io.Writer

	mu sync.Mutex // held while a line is written
}

// Say prints a line.
func (o *Output) Say(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.Stdout
	if o.JSON {
		w = o.Stderr
	}
	fmt.Fprintf(w, format, args...)
}

// Fail prints what went wrong: in the prototype's words, and why.
func (o *Output) Fail(what string, err error) {
	o.Say("%s\n", what)
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.Stderr, "%s: %v\n", o.Tool, err)
}

// Write prints prepared lines to standard output.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Stdout.Write(p)
}

// Object prints v, which always encodes, as an object on one line of standard
// output.
func (o *Output) Object(v any) { json.NewEncoder(o).Encode(v) }
