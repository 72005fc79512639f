// SPDX-License-Identifier: BSD-3-Clause

// Package loadtest is what the tests of the tools that load and measure flows
// have in common: a node on which their ends meet (Stack), and the output of a
// server that runs (Transcript).
package loadtest

import (
	"bytes"
	"log/slog"
	"regexp"
	"sync"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/node"
)

// patience is how long a text may take to come: it never decides a test that
// passes.
const patience = 20 * time.Second

// Stack returns a node in this process on which clients and servers meet.
func Stack(t *testing.T) *o7s.Stack {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n.Stack()
}

// Transcript is the output of a server, for several goroutines. Make it with
// NewTranscript.
type Transcript struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed by the next change
}

// NewTranscript returns an empty one.
func NewTranscript() *Transcript { return &Transcript{changed: make(chan struct{})} }

// Write appends to it.
func (o *Transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(p)
}

// String returns what was written.
func (o *Transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Await waits until the text matches, and returns what did, with the groups of
// the pattern behind it.
func (o *Transcript) Await(t *testing.T, pattern string) []string {
	t.Helper()
	limit := time.After(patience)
	for re := regexp.MustCompile(pattern); ; {
		o.mu.Lock()
		text, changed := o.buf.String(), o.changed
		o.mu.Unlock()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("no %q in\n%s", pattern, text)
		}
	}
}
