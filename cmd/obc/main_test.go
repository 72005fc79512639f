// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/node"
)

// Usage and statuses are those of the prototype (console.md).
func TestUsage(t *testing.T) {
	for _, v := range []struct {
		args   string
		status int
		out    string
	}{
		{"--help", 0, usage},
		{"-n", 0, usage},
		{"-n bc -x", 0, usage},
		{"-n bc rest", 0, usage},
		{"-n bc -c 0", 0, usage},
		{"-n bc -c -1", 0, usage},
		{"-n bc -t 5", 0, usage}, // no unit
		{"-n bc -t -5s", 0, usage},
		{"", 1, "Please specify a name.\n\n" + usage},
		{"-l -m text", 1, "Please specify a name.\n\n" + usage},
	} {
		var out, errs bytes.Buffer
		status := run(context.Background(), strings.Fields(v.args), &out, &errs)
		if status != v.status || out.String() != v.out {
			t.Errorf("obc %s: status %d\n%s", v.args, status, out.String())
		}
		if reason := v.status == 0 && v.args != "--help"; reason != (errs.Len() > 0) {
			t.Errorf("obc %s: reason %q", v.args, errs.String())
		}
	}
	if !strings.Contains(usage, `Usage: obc [OPTION]...
Sends a message to a broadcast network

  -n --name                 Name of the broadcast layer
  -m --message              A message to send
  [-l, --listen             Listen mode]
`) || !strings.HasSuffix(usage, "      --help                Display this help text and exit\n") {
		t.Error("usage lacks lines of the prototype's")
	}
}

func TestNoDaemon(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(context.Background(), []string{"-n", "bc", "--run-dir", t.TempDir()}, &out, &errs); status != 1 || errs.Len() == 0 {
		t.Errorf("status %d, %q, %q", status, out.String(), errs.String())
	}
}

// member returns a node in a broadcast layer "bc".
func member(t *testing.T, runDir string) *node.Node {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Log: slog.New(slog.DiscardHandler), RunDir: runDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	id, err := n.IRM().CreateIPCP(ipcp.Broadcast, "b")
	if err == nil {
		err = n.IRM().Bootstrap(t.Context(), id, ipcp.Config{Type: ipcp.Broadcast, Layer: "bc", Hash: layer.SHA3_256})
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// log is a buffer for several goroutines.
type log struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed by the next write
}

func newLog() *log { return &log{changed: make(chan struct{})} }

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// await waits until the text was written.
func (l *log) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		changed, has := l.changed, strings.Contains(l.buf.String(), text)
		l.mu.Unlock()
		if has {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("no %q in %q", text, l.String())
		}
	}
}

// listen starts a reader; the channel gets its status.
func listen(ctx context.Context, stack *o7s.Stack, opt options) (out, errs *log, done chan int) {
	out, errs, done = newLog(), newLog(), make(chan int, 1)
	opt.name, opt.listen = "bc", true
	go func() { done <- read(ctx, stack, &output{opt: opt, stdout: out, stderr: errs}) }()
	return out, errs, done
}

func send(t *testing.T, stack *o7s.Stack, opt options) string {
	t.Helper()
	var out, errs bytes.Buffer
	opt.name = "bc"
	opt.count = max(1, opt.count)
	if status := write(t.Context(), stack, &output{opt: opt, stdout: &out, stderr: &errs}); status != 0 || errs.Len() > 0 {
		t.Errorf("status %d, %q", status, errs.String())
	}
	return out.String()
}

func TestMessages(t *testing.T) {
	stack := member(t, "").Stack()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all, _, allDone := listen(ctx, stack, options{})
	counted, _, countedDone := listen(ctx, stack, options{count: 2, json: true})
	all.await(t, "New flow.")
	counted.await(t, `"flow"`)

	if out := send(t, stack, options{message: defaultMessage}); out != "" {
		t.Errorf("writer printed %q", out)
	}
	long := strings.Repeat("long ", 250)
	send(t, stack, options{message: long})
	if status := <-countedDone; status != 0 {
		t.Errorf("reader of two: status %d", status)
	}
	out := send(t, stack, options{message: "x", count: 3, interval: time.Millisecond, json: true})
	if n := strings.Count(out, `{"event":"sent","text":"","message":"x","bytes":2}`); n != 3 {
		t.Errorf("writer printed %q", out)
	}
	send(t, stack, options{message: "the end"})
	all.await(t, "the end")
	cancel()
	if status := <-allDone; status != 0 {
		t.Errorf("reader after a signal: status %d", status)
	}
	want := "Starting a reader.\nNew flow.\nMessage is Ouroboros multicast rocks!.\nMessage is " + long + ".\n" +
		strings.Repeat("Message is x.\n", 3) + "Message is the end.\n"
	if all.String() != want {
		t.Errorf("reader printed:\n%s", all)
	}
	var events []event
	for d := json.NewDecoder(strings.NewReader(counted.String())); d.More(); {
		var e event
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if len(events) != 4 || events[3].Event != "message" || events[3].Message != long || events[3].Bytes != len(long)+1 {
		t.Errorf("JSON %+v", events)
	}
}

func TestTimeout(t *testing.T) {
	stack := member(t, "").Stack()
	_, _, done := listen(t.Context(), stack, options{timeout: 50 * time.Millisecond})
	if status := <-done; status != 0 {
		t.Errorf("reader: status %d", status)
	}
	out, errs, done := listen(t.Context(), stack, options{timeout: 200 * time.Millisecond, count: 2})
	out.await(t, "New flow.")
	send(t, stack, options{message: "x"})
	if status := <-done; status != failed || !strings.HasSuffix(out.String(), "Message is x.\nFailed to read.\n") || !strings.Contains(errs.String(), "1 of 2 messages within 200ms") {
		t.Errorf("reader of two: status %d, %q, %q", status, out, errs)
	}
	var stdout, stderr bytes.Buffer
	opt := options{name: "bc", count: 2, interval: time.Hour, timeout: 50 * time.Millisecond}
	if status := write(t.Context(), stack, &output{opt: opt, stdout: &stdout, stderr: &stderr}); status != failed || stdout.String() != "Failed to write packet.\n" || !strings.Contains(stderr.String(), "message 2 of 2") {
		t.Errorf("writer: status %d, %q, %q", status, stdout.String(), stderr.String())
	}
}

func TestNoLayer(t *testing.T) {
	stack := member(t, "").Stack()
	for _, f := range []func(context.Context, *o7s.Stack, *output) int{read, write} {
		var out, errs bytes.Buffer
		status := f(t.Context(), stack, &output{opt: options{name: "nolayer", count: 1}, stdout: &out, stderr: &errs})
		if status != failed || !strings.HasSuffix(out.String(), "Failed to join broadcast.\n") || !strings.Contains(errs.String(), "nolayer") {
			t.Errorf("status %d, %q, %q", status, out.String(), errs.String())
		}
	}
}

// TestSignals ends a writer and a reader that are in the middle of something.
func TestSignals(t *testing.T) {
	stack := member(t, "").Stack()
	ctx, cancel := context.WithCancel(context.Background())
	out := newLog()
	done := make(chan int, 1)
	go func() {
		done <- write(ctx, stack, &output{opt: options{name: "bc", message: "x", count: 9, interval: time.Hour, json: true}, stdout: out, stderr: out})
	}()
	out.await(t, "sent")
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("writer: status %d, %s", status, out)
	}
	for _, f := range []func(context.Context, *o7s.Stack, *output) int{read, write} {
		var errs bytes.Buffer
		if status := f(ctx, stack, &output{opt: options{name: "bc", count: 1}, stdout: &errs, stderr: &errs}); status != 0 || strings.Contains(errs.String(), "Failed") {
			t.Errorf("status %d, %q", status, errs.String())
		}
	}
}

// TestDaemon runs the program against a daemon, whose layer ends under the
// reader.
func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	n := member(t, dir)
	out, errs := newLog(), newLog()
	done := make(chan int, 1)
	go func() { done <- run(t.Context(), []string{"-l", "-n", "bc", "--run-dir", dir}, out, errs) }()
	out.await(t, "New flow.")
	var wout bytes.Buffer
	if status := run(t.Context(), []string{"--name=bc", "-m", "hello", "--run-dir", dir}, &wout, &wout); status != 0 || wout.Len() > 0 {
		t.Errorf("writer: status %d, %q", status, wout.String())
	}
	out.await(t, "Message is hello.\n")
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if status := <-done; status != 1 || !strings.HasSuffix(out.String(), "Failed to read.\n") || !strings.HasPrefix(errs.String(), "obc: ") {
		t.Errorf("reader: status %d, %q, %q", status, out, errs)
	}
}
