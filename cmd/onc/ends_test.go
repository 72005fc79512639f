// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// cubes are the kinds of flows: the end of a reliable one says whether all
// has arrived.
var cubes = []struct {
	name    string
	aborted int // status of the peer of a session that failed
}{{"raw", 0}, {"data", 1}}

// TestEnds are the ways in which a session ends.
func TestEnds(t *testing.T) {
	dir := daemon(t)
	for _, q := range cubes {
		t.Run(q.name, func(t *testing.T) {
			t.Run("quit", func(t *testing.T) {
				server := listen(t, dir, "svc")
				client := start(t, dir, "-q", q.name, "--quit", "10ms", "svc")
				client.input("x")
				client.ends(0)
				server.ends(0) // though its input has not ended
				if out := server.output(); out != "x" {
					t.Errorf("server got %q", out)
				}
			})
			t.Run("server quits", func(t *testing.T) {
				server := listen(t, dir, "--quit", "0", "svc")
				client := start(t, dir, "-v", "-q", q.name, "svc")
				client.says("flow to svc: qos " + q.name)
				server.input("bye\n")
				server.ends(0)
				client.ends(0)
				if out := client.output(); out != "bye\n" {
					t.Errorf("client got %q", out)
				}
			})
			t.Run("nobody reads", func(t *testing.T) {
				r, w := pipe(t)
				server := listenWith(t, dir, files{stdout: w}, "svc")
				r.Close()
				client := start(t, dir, "-q", q.name, "svc")
				fmt.Fprintln(client.stdin, "into the void")
				server.ends(0)
				client.ends(0)
			})
			t.Run("output full", func(t *testing.T) {
				full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
				if err != nil {
					t.Skip(err)
				}
				defer full.Close()
				server := listenWith(t, dir, files{stdout: full}, "svc")
				client := start(t, dir, "-q", q.name, "svc")
				fmt.Fprintln(client.stdin, "too much")
				server.ends(1)
				server.says("onc: write /dev/full: no space left on device\n")
				client.ends(q.aborted)
			})
			t.Run("silence", func(t *testing.T) {
				server := listen(t, dir, "svc")
				client := start(t, dir, "-q", q.name, "-w", "100ms", "svc")
				client.ends(1)
				client.says("onc: nothing passed for 100ms\n")
				server.ends(q.aborted)
			})
			t.Run("signal", func(t *testing.T) {
				server := listen(t, dir, "svc")
				client := start(t, dir, "-v", "-q", q.name, "svc")
				client.says("flow to svc")
				client.signal()
				client.ends(1)
				client.says("onc: interrupted\n")
				server.ends(q.aborted)
			})
			t.Run("peer leaves while much is unsent", func(t *testing.T) {
				server := listen(t, dir, "svc")
				client := start(t, dir, "-v", "-q", q.name, "svc")
				client.says("flow to svc")
				var wg sync.WaitGroup
				wg.Go(func() { client.stdin.Write(random(64 << 20)) })
				server.stdout.await(t, "data", func(text string, _ bool) bool { return len(text) > 0 })
				server.signal()
				server.ends(1)
				client.ends(1)
				client.stdin.Close()
				wg.Wait()
			})
		})
	}
}

// TestHalfClose: the end of one direction is not that of the other.
func TestHalfClose(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "svc")
	client := start(t, dir, "svc")
	client.input("question\n")
	if got := server.output(); got != "question\n" {
		t.Errorf("server got %q", got)
	}
	server.input("answer\n")
	server.ends(0)
	client.ends(0)
	if got := client.output(); got != "answer\n" {
		t.Errorf("client got %q", got)
	}

	// A peer that is gone ends who waits for input only.
	server = listen(t, dir, "svc")
	client = start(t, dir, "svc")
	server.input("")
	client.output() // has ended; its input has not
	server.signal()
	server.ends(1)
	client.ends(0)
}

// TestShutdown: -N where the end of a direction cannot be told.
func TestShutdown(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "svc")
	client := start(t, dir, "-q", "raw", "-N", "svc")
	client.input("x")
	client.ends(0)
	server.ends(0)
	if out := server.output(); out != "x" {
		t.Errorf("server got %q", out)
	}
}

func TestSignalWhileWaiting(t *testing.T) {
	dir := daemon(t)
	for _, mode := range [][]string{{"svc"}, {"-k", "svc"}, {"-k", "-e", "cat", "svc"}} {
		server := listen(t, dir, mode...)
		server.signal()
		server.ends(0)
	}
}

func TestFailures(t *testing.T) {
	dir := daemon(t)
	for _, args := range []string{"nosuch", "-q raw nosuch", "-z nosuch"} {
		p := start(t, dir, strings.Fields(args)...)
		p.ends(1)
		if got := p.stderr.String(); !strings.HasPrefix(got, "onc: dial o7s nosuch: ") || !strings.HasSuffix(got, "(-1003)\n") {
			t.Errorf("onc %s: %q", args, got)
		}
	}
	p := start(t, t.TempDir(), "svc")
	p.ends(1)
	p.says("onc: connect o7s ")
	// Who comes after the first client of a server is refused.
	server := listen(t, dir, "-d", "svc")
	client := start(t, dir, "-v", "svc")
	client.says("flow to svc")
	start(t, dir, "svc").ends(1)
	client.input("")
	client.ends(0)
	server.ends(0)
}

func TestScan(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "-d", "svc")
	p := start(t, dir, "-v", "-z", "-w", "5", "svc")
	p.ends(0)
	p.says("onc: svc is served\n")
	server.ends(0)
}
