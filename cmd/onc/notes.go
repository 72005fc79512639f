// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// notes is standard error for several goroutines.
type notes struct {
	verbose bool

	mu    sync.Mutex
	w     io.Writer // guarded by mu
	drawn int       // guarded by mu; length of the line of progress on the screen
}

func (n *notes) terminal() bool {
	f, ok := n.w.(*os.File)
	return ok && isTerminal(f)
}

// say tells what happens, if that is wanted.
func (n *notes) say(format string, args ...any) {
	if n.verbose {
		n.line(fmt.Sprintf(format, args...))
	}
}

// fail tells of an error, which may be several.
func (n *notes) fail(err error) {
	for l := range strings.Lines(err.Error()) {
		n.line(strings.TrimSuffix(l, "\n"))
	}
}

func (n *notes) line(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clear()
	fmt.Fprintf(n.w, "onc: %s\n", text)
}

// draw shows a line of progress that the next one replaces.
func (n *notes) draw(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.w, "\r%s%s", text, strings.Repeat(" ", max(0, n.drawn-len(text))))
	n.drawn = len(text)
}

// end removes the line of progress.
func (n *notes) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clear()
}

// clear removes the line of progress. mu is held.
func (n *notes) clear() {
	if n.drawn > 0 {
		fmt.Fprintf(n.w, "\r%s\r", strings.Repeat(" ", n.drawn))
		n.drawn = 0
	}
}

// Write passes on what commands say.
func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.w.Write(p)
}

// stderr returns standard error for a command.
func (n *notes) stderr() io.Writer {
	if f, ok := n.w.(*os.File); ok {
		return f
	}
	return n
}
