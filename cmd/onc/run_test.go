// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/node"
)

// daemon returns the run directory of a node to which programs attach.
func daemon(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	n, err := node.New(t.Context(), node.Config{Log: slog.New(slog.DiscardHandler), RunDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return dir
}

// text is a buffer for several goroutines that one can wait for.
type text struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	ended   bool
	changed chan struct{} // closed by the next change
}

func newText() *text { return &text{changed: make(chan struct{})} }

func (o *text) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(p)
}

// end marks that nothing more comes.
func (o *text) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *text) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// await waits until the condition holds.
func (o *text) await(t *testing.T, what string, ok func(text string, ended bool) bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		o.mu.Lock()
		changed, has := o.changed, ok(o.buf.String(), o.ended)
		o.mu.Unlock()
		if has {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("waited in vain for %s in %.200q", what, o.String())
		}
	}
}

func (o *text) awaitText(t *testing.T, want string) {
	t.Helper()
	o.await(t, want, func(text string, _ bool) bool { return strings.Contains(text, want) })
}

// process is a run of the program.
type process struct {
	t      *testing.T
	args   string
	stdin  *os.File // our end; nil if it was given
	stdout *text
	stderr *text
	status chan int
	signal context.CancelFunc
}

// file makes the standard input or output of a run; nil: a pipe.
type files struct{ stdin, stdout *os.File }

// start starts the program with pipes as standard input and output.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return startWith(t, dir, files{}, args...)
}

func startWith(t *testing.T, dir string, f files, args ...string) *process {
	t.Helper()
	p := &process{t: t, args: strings.Join(args, " "), stdout: newText(), stderr: newText(), status: make(chan int, 1)}
	if f.stdin == nil {
		f.stdin, p.stdin = pipe(t)
	}
	if f.stdout == nil {
		var out *os.File
		out, f.stdout = pipe(t)
		var copied sync.WaitGroup
		copied.Go(func() {
			io.Copy(p.stdout, out)
			p.stdout.end()
		})
		t.Cleanup(func() {
			f.stdout.Close()
			copied.Wait()
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.signal = cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		status := run(ctx, append([]string{"--run-dir", dir}, args...), f.stdin, f.stdout, p.stderr)
		f.stdout.Close() // as the end of the process does
		p.status <- status
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// listen starts a server, and waits until it can be found.
func listen(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return listenWith(t, dir, files{}, args...)
}

func listenWith(t *testing.T, dir string, f files, args ...string) *process {
	t.Helper()
	p := startWith(t, dir, f, append([]string{"-v", "-l"}, args...)...)
	p.stderr.awaitText(t, "listening on")
	return p
}

// input writes to standard input and closes it.
func (p *process) input(data string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, data); err != nil {
		p.t.Fatal(err)
	}
	p.stdin.Close()
}

// ends waits for the end, which must be of that status.
func (p *process) ends(status int) {
	p.t.Helper()
	select {
	case got := <-p.status:
		if got != status {
			p.t.Fatalf("onc %s: status %d, not %d; it said:\n%s", p.args, got, status, p.stderr)
		}
	case <-time.After(20 * time.Second):
		p.t.Fatalf("onc %s does not end; it said:\n%s", p.args, p.stderr)
	}
}

// output waits for the end of standard output and returns it.
func (p *process) output() string {
	p.t.Helper()
	p.stdout.await(p.t, "the end", func(_ string, ended bool) bool { return ended })
	return p.stdout.String()
}

// says waits for a text on standard error.
func (p *process) says(want string) {
	p.t.Helper()
	p.stderr.awaitText(p.t, want)
}
