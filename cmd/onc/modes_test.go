// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/proxy/proxytest"
)

// TestKeep serves two clients after one another: what the first has left of
// the input goes to the second.
func TestKeep(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "-k", "svc")
	for i := range 2 {
		client := start(t, dir, "svc")
		fmt.Fprintf(client.stdin, "from client %d\n", i)
		server.stdout.awaitText(t, fmt.Sprintf("from client %d\n", i))
		fmt.Fprintf(server.stdin, "to client %d\n", i)
		client.stdout.awaitText(t, fmt.Sprintf("to client %d\n", i))
		if i == 0 {
			client.signal()
			client.ends(1)
			server.says("onc: sent 12 B, received 14 B in ")
		}
	}
	server.signal()
	server.ends(0)
}

// TestCommand serves several clients at once, each with a process.
func TestCommand(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "-k", "-e", `read x; echo "$O7S_NAME $O7S_QOS: $x"; cat`, "svc")
	var clients []*process
	for i := range 5 {
		c := start(t, dir, "svc")
		clients = append(clients, c)
		fmt.Fprintf(c.stdin, "client %d\n", i)
		c.stdout.awaitText(t, fmt.Sprintf("svc data: client %d\n", i))
	}
	for _, c := range slices.Backward(clients) {
		fmt.Fprintln(c.stdin, "more")
		c.stdout.awaitText(t, "more\n")
		c.signal()
		c.ends(1)
	}
	server.signal()
	server.ends(0)
}

func TestCommandEnds(t *testing.T) {
	dir := daemon(t)
	for _, v := range []struct {
		command string
		status  int
		out     string
	}{
		{"read line; echo hello", 0, "hello\n"},
		{"head -c 1", 0, "o"}, // reads only some of what comes
		{"read line; echo before; exit 3", 1, "before\n"},
		{"read line; echo diagnosis >&2", 0, ""},
	} {
		server := listen(t, dir, "-e", v.command, "svc")
		client := start(t, dir, "svc")
		fmt.Fprintln(client.stdin, "one")
		client.ends(0)
		server.ends(v.status)
		if out := client.output(); out != v.out {
			t.Errorf("%s: %q", v.command, out)
		}
		if v.status != 0 {
			server.says("onc: command: exit status 3\n")
		}
	}
	// A command that heeds nothing but signals gets one.
	server := listen(t, dir, "-k", "-e", "echo started; exec sleep 1000", "svc")
	client := start(t, dir, "svc")
	client.stdout.awaitText(t, "started\n")
	server.signal()
	server.ends(0)
	client.ends(1)
}

// TestTCP joins flows to TCP connections.
func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxytest.Serve(t, l, proxytest.Echo)
	dir := daemon(t)
	server := listen(t, dir, "-k", "-m", "2", "--tcp", l.Addr().String(), "svc")
	a, b := start(t, dir, "svc"), start(t, dir, "svc")
	for _, c := range []*process{b, a} {
		fmt.Fprintln(c.stdin, "echo")
		c.stdout.awaitText(t, "echo\n")
	}
	c := start(t, dir, "svc") // waits until there is room
	fmt.Fprintln(c.stdin, "third")
	a.signal()
	a.ends(1)
	c.stdout.awaitText(t, "third\n")
	for _, p := range []*process{b, c} {
		p.signal()
		p.ends(1)
	}
	server.signal()
	server.ends(0)

	l.Close()
	server = listen(t, dir, "--tcp", l.Addr().String(), "svc")
	client := start(t, dir, "svc")
	server.ends(1)
	server.says("connection refused")
	client.ends(1)
}

func TestPackets(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "-d", "-p", "svc")
	client := start(t, dir, "-p", "svc")
	client.input("one\n\ntwo\nwithout end")
	client.ends(0)
	server.ends(0)
	if out := server.output(); out != "one\ntwo\nwithout end\n" {
		t.Errorf("server got %q", out)
	}

	server = listen(t, dir, "-p", "svc")
	client = start(t, dir, "-p", "svc")
	long := strings.Repeat("x", 60000)
	var wg sync.WaitGroup
	wg.Go(func() { io.WriteString(client.stdin, "first\n"+long+"\n"+long+long+"\n") })
	client.ends(1)
	client.says("onc: not everything was sent: line too long for a packet")
	server.ends(1)
	if out := server.output(); out != "first\n"+long+"\n" {
		t.Errorf("server got %d bytes", len(out))
	}
	client.stdin.Close()
	wg.Wait()
}

func TestRawPackets(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "-p", "svc") // shows the boundaries
	client := start(t, dir, "--raw-packets", "svc")
	for _, s := range []string{"a", "b\nc", "d"} {
		io.WriteString(client.stdin, s)
		server.stdout.awaitText(t, s+"\n")
	}
	fmt.Fprintln(server.stdin, "reply")
	client.stdout.awaitText(t, "reply")
	client.stdin.Close()
	server.stdin.Close()
	client.ends(0)
	server.ends(0)
	if out := client.output(); out != "reply" {
		t.Errorf("client printed %q", out)
	}
}

// TestInterval sends line by line.
func TestInterval(t *testing.T) {
	dir := daemon(t)
	server := listen(t, dir, "-d", "svc")
	begin := time.Now()
	client := start(t, dir, "-i", "30ms", "svc")
	client.input("1\n2\n3\n")
	client.ends(0)
	server.ends(0)
	if took := time.Since(begin); took < 90*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if out := server.output(); out != "1\n2\n3\n" {
		t.Errorf("server got %q", out)
	}
}
