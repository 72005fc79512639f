// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// TestQueue: nobody who logs waits for a pipe that is full; when it is read,
// the lines come in order, and how many are missing is said.
func TestQueue(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h, done := Queue(New(w, O7s, new(slog.LevelVar)))
	l := slog.New(h).With(ComponentKey, "some")
	const lines = 3 * queueLength
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for n := range lines {
			l.Info(fmt.Sprintf("line %d", n), "key", "value")
		}
	}()
	select {
	case <-logged:
	case <-time.After(10 * time.Second):
		t.Fatal("logging waits for the reader")
	}
	begin := time.Now()
	done() // gives up
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("done took %v", d)
	}
	seen, lost, last := 0, 0, -1
	in := bufio.NewScanner(r)
	for seen+lost < lines && in.Scan() {
		_, text, _ := strings.Cut(in.Text(), "(")
		var n int
		switch {
		case strings.Contains(in.Text(), "were lost"):
			fmt.Sscanf(text, "WW): %d log lines", &n)
			lost += n
		default:
			if _, err := fmt.Sscanf(text, "II): line %d key=value", &n); err != nil || n <= last || !strings.Contains(in.Text(), " some(") {
				t.Fatalf("after line %d: %q", last, in.Text())
			}
			last = n
			seen++
		}
	}
	if seen+lost != lines || lost == 0 {
		t.Errorf("%d lines, %d reported as lost, of %d", seen, lost, lines)
	}
	w.Close()
}

func TestQueueFlushes(t *testing.T) {
	var b strings.Builder
	h, done := Queue(New(&b, Text, new(slog.LevelVar)))
	for n := range 100 {
		slog.New(h).WithGroup("g").Info("x", "n", n)
	}
	done()
	if !strings.Contains(b.String(), "g.n=99") || strings.Count(b.String(), "\n") != 100 {
		t.Errorf("after done:\n%s", b.String())
	}
}
