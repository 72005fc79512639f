// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/node"
	"o7gw/o7s/qos"
)

// The prototype prints its usage, with status 0, for whatever it does not
// understand.
func TestUsage(t *testing.T) {
	for _, args := range []string{"--help", "-x", "rest", "-W", "-W -3", "-q gold", "-l -q raw"} {
		var out, errs bytes.Buffer
		if status := run(context.Background(), strings.Fields(args), &out, &errs); status != 0 || out.String() != usage {
			t.Errorf("oecho %s: status %d\n%s", args, status, out.String())
		}
	}
}

func TestNoDaemon(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(context.Background(), []string{"--run-dir", t.TempDir()}, &out, &errs); status != 1 || errs.Len() == 0 {
		t.Errorf("status %d, %q, %q", status, out.String(), errs.String())
	}
}

func stack(t *testing.T) *o7s.Stack {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n.Stack()
}

// safe is a buffer for several goroutines; started is closed by the first
// write.
type safe struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	started chan struct{}
	once    sync.Once
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once.Do(func() { close(s.started) })
	return s.buf.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestEcho(t *testing.T) {
	s := stack(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := &safe{started: make(chan struct{})}
	done := make(chan int, 1)
	go func() { done <- serve(ctx, s, options{listen: true, name: "echo", named: true}, server, server) }()
	<-server.started

	// A client that says nothing holds up nobody.
	silent, err := s.Dial(ctx, "echo")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	var out bytes.Buffer
	opt := options{name: "echo", qos: qos.Raw, timeout: 10 * time.Second}
	if status := greet(ctx, s, opt, &out, os.Stderr); status != 0 || out.String() != "Server replied with Client says hi!\n" {
		t.Errorf("client: status %d, %q", status, out.String())
	}
	out.Reset()
	opt.json = true
	if status := greet(ctx, s, opt, &out, os.Stderr); status != 0 {
		t.Errorf("client: status %d, %q", status, out.String())
	}
	var e event
	if err := json.Unmarshal(out.Bytes(), &e); err != nil || e.Event != "reply" || e.Message != "Client says hi!" || e.Time <= 0 {
		t.Errorf("JSON %v: %s", err, out.String())
	}
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("server: status %d", status)
	}
	if want := "Starting the server.\nNew flow.\nNew flow.\nMessage from client is Client says hi!.\nNew flow.\nMessage from client is Client says hi!.\n"; server.String() != want {
		t.Errorf("server printed:\n%s", server)
	}
}

func TestClientGivesUp(t *testing.T) {
	s := stack(t)
	l, err := s.Listen(t.Context(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out, errs bytes.Buffer
	opt := options{name: "echo", qos: qos.Raw, timeout: 200 * time.Millisecond}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if flow, err := l.AcceptFlow(context.Background()); err == nil {
			defer flow.Close()
			flow.ReadPacket(make([]byte, maxMessage))
			flow.ReadPacket(make([]byte, maxMessage)) // until the client leaves
		}
	}()
	if status := greet(t.Context(), s, opt, &out, &errs); status != failed || out.String() != "Failed to read packet.\n" {
		t.Errorf("status %d, %q, %q", status, out.String(), errs.String())
	}
	<-done
}
