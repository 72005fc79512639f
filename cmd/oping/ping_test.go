// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/irm/config"
	"o7gw/o7s/load/loadtest"
	"o7gw/o7s/node"
)

// startServer runs a server until the test ends.
func startServer(t *testing.T, s *o7s.Stack, args ...string) *loadtest.Transcript {
	t.Helper()
	opt, err := parseOptions(append([]string{"-l", "-n", "op"}, args...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	out := loadtest.NewTranscript()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() { done <- serve(ctx, s, opt, out, out) }()
	t.Cleanup(func() {
		cancel()
		if status := <-done; status != 0 {
			t.Errorf("server: status %d\n%s", status, out)
		}
	})
	out.Await(t, "started")
	return out
}

// runClient runs a client to its end.
func runClient(t *testing.T, ctx context.Context, s *o7s.Stack, args ...string) (string, int) {
	t.Helper()
	opt, err := parseOptions(append([]string{"-n", "op"}, args...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	status := ping(ctx, s, opt, &out, &out)
	return out.String(), status
}

func TestPing(t *testing.T) {
	s := loadtest.Stack(t)
	for _, mode := range []string{"", "--poll"} {
		t.Run("server "+mode, func(t *testing.T) {
			out := startServer(t, s, strings.Fields(mode)...)
			text, status := runClient(t, t.Context(), s, "-c", "3", "-i", "5ms", "-D")
			if status != 0 || !strings.HasPrefix(text, "Pinging op with 64 bytes of data (3 packets):\n\n[") ||
				!strings.Contains(text, "] 64 bytes from op: seq=2 time=") ||
				!strings.Contains(text, "\n3 packets transmitted, 3 received, 0 out-of-order, 0% packet loss, time: ") {
				t.Errorf("status %d:\n%s", status, text)
			}
			if want := "Ouroboros ping server started.\nNew flow 64.\n" + strings.Repeat("Received 64 bytes on fd 64.\n", 3); out.String() != want {
				t.Errorf("server printed:\n%s", out)
			}
		})
	}
}

func TestFlood(t *testing.T) {
	s := loadtest.Stack(t)
	startServer(t, s, "-Q")
	for _, mode := range []string{"-f", "-F", "-i0"} {
		text, status := runClient(t, t.Context(), s, mode, "--json", "-c", "1000", "--fail-on-loss")
		var r result
		if err := json.Unmarshal([]byte(text), &r); err != nil || status != 0 || r.Sent != 1000 || r.Received != 1000 || r.End != "done" || r.RTT == nil {
			t.Errorf("%s: %v, status %d:\n%s", mode, err, status, text)
		}
	}
	text, status := runClient(t, t.Context(), s, "-F", "-c", "2")
	if status != 0 || !strings.HasPrefix(text, "Pinging op with 64 bytes of data (2 packets, busy-poll):\n\n64 bytes from op: seq=0 time=") {
		t.Errorf("status %d:\n%s", status, text)
	}
}

func TestFloodDuration(t *testing.T) {
	s := loadtest.Stack(t)
	startServer(t, s, "-Q")
	start := time.Now()
	text, status := runClient(t, t.Context(), s, "-f", "--json", "-d", "100ms")
	var r result
	if err := json.Unmarshal([]byte(text), &r); err != nil || status != 0 || r.Received != r.Sent || r.Time < 100 || time.Since(start) < 100*time.Millisecond {
		t.Errorf("%v, status %d:\n%s", err, status, text)
	}
}

// A server that never answers: a flood counts losses and gives up, and
// --fail-on-loss shows in the status.
func TestSilentServer(t *testing.T) {
	s := loadtest.Stack(t)
	l, err := s.Listen(t.Context(), "op")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan *o7s.Flow, 2)
	go func() {
		defer close(accepted)
		for range cap(accepted) {
			flow, err := l.AcceptFlow(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			accepted <- flow
		}
	}()
	text, status := runClient(t, t.Context(), s, "-f", "-W", "10ms", "-c", "5", "--fail-on-loss")
	if status != 1 || !strings.Contains(text, "\n5 packets transmitted, 0 received, 0 out-of-order, 100% packet loss") {
		t.Errorf("flood: status %d:\n%s", status, text)
	}
	text, status = runClient(t, t.Context(), s, "-c", "1", "-i", "1ms")
	if status != 0 || !strings.Contains(text, "Server timed out.\n\n--- op ping statistics ---\n1 packets transmitted, 0 received") {
		t.Errorf("paced: status %d:\n%s", status, text)
	}
	for flow := range accepted {
		flow.Close()
	}
}

// A signal, which is the end of the context, stops every mode.
func TestSignalEndsClient(t *testing.T) {
	s := loadtest.Stack(t)
	startServer(t, s, "-Q")
	for _, mode := range []string{"-f", "-F", "-i5ms"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		text, status := runClient(t, ctx, s, mode, "--json")
		cancel()
		var r result
		if err := json.Unmarshal([]byte(text), &r); err != nil || status != 0 || r.End != "signal" {
			t.Errorf("%s: %v, status %d:\n%s", mode, err, status, text)
		}
	}
}

func TestBusyServer(t *testing.T) {
	s := loadtest.Stack(t)
	out := startServer(t, s, "--busy")
	text, status := runClient(t, t.Context(), s, "-f", "-Q", "-c", "100")
	if status != 0 || !strings.Contains(text, "100 received") || !strings.HasSuffix(out.String(), "New flow 64 (busy-poll).\n") {
		t.Errorf("status %d:\n%s\nserver:\n%s", status, text, out)
	}
}

// Many clients at once, more than the 192 of the prototype.
func TestManyFlows(t *testing.T) {
	s := loadtest.Stack(t)
	startServer(t, s, "-Q")
	var flows []*o7s.Flow
	for range 300 {
		f, err := s.Dial(t.Context(), "op")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		flows = append(flows, f)
	}
	buf := make([]byte, maxSize)
	for i, f := range flows {
		p := make([]byte, minSize)
		putRequest(p, uint32(i), 0)
		if err := f.WritePacket(p); err != nil {
			t.Fatal(err)
		}
		f.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := f.ReadPacket(buf)
		if err != nil {
			t.Fatal(err)
		}
		if id, _, ok := parseReply(buf[:n], time.Hour); !ok || id != uint32(i) {
			t.Fatalf("reply %d: id %d, %v", i, id, ok)
		}
	}
}

// A payload that the flow cannot carry is cut, as one above the limit of the
// tool is.
func TestSizeOfFlow(t *testing.T) {
	join := func(name, addr string) *o7s.Stack {
		t.Helper()
		n, err := node.New(t.Context(), node.Config{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		file, err := config.Parse(fmt.Appendf(nil, "[udp4.%s]\nbootstrap = \"net\"\nip = %q\nport = 3461\nmtu = 1000\nhosts = { ping = \"127.0.0.61\" }\n", name, addr), "test")
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Apply(t.Context(), n.IRM(), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		return n.Stack()
	}
	startServer(t, join("a", "127.0.0.61"), "-n", "ping")
	out, status := runClient(t, t.Context(), join("b", "127.0.0.62"), "-n", "ping", "-c", "2", "-i", "1ms", "-s", "1500")
	if want := "Packet size truncated to 968 bytes.\nPinging ping with 968 bytes"; status != 0 || !strings.HasPrefix(out, want) || !strings.Contains(out, "2 received") {
		t.Errorf("status %d\n%s", status, out)
	}
}
