// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/irm/config"
	"o7gw/o7s/load/loadtest"
	"o7gw/o7s/node"
)

// startServer runs a server until the test or stop ends it.
func startServer(t *testing.T, s *o7s.Stack, args ...string) (out, errs *loadtest.Transcript, stop func()) {
	t.Helper()
	opt, err := parseOptions(append([]string{"-l", "-n", "of"}, args...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	out, errs = loadtest.NewTranscript(), loadtest.NewTranscript()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { done <- serve(ctx, s, opt, out, errs) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if status := <-done; status != 0 {
				t.Errorf("server: status %d\n%s%s", status, out, errs)
			}
		})
	}
	t.Cleanup(stop)
	started := out
	if opt.json {
		started = errs
	}
	started.Await(t, "Ouroboros perf server started.\n")
	return out, errs, stop
}

// runClient runs a client to its end.
func runClient(t *testing.T, ctx context.Context, s *o7s.Stack, args ...string) (string, int) {
	t.Helper()
	opt, err := parseOptions(append([]string{"-n", "of"}, args...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	opt.settle = 0
	var out, errs bytes.Buffer
	status := test(ctx, s, opt, &out, &errs)
	if errs.Len() > 0 && !opt.json {
		t.Logf("client: %s", errs.String())
	}
	return out.String(), status
}

// figures runs a client with --json.
func figures(t *testing.T, ctx context.Context, s *o7s.Stack, args ...string) *result {
	t.Helper()
	text, status := runClient(t, ctx, s, append(args, "--json")...)
	var r result
	if err := json.Unmarshal([]byte(text), &r); err != nil || status != 0 {
		t.Fatalf("%v: %v, status %d:\n%s", args, err, status, text)
	}
	return &r
}

// The lines of both ends. A busy machine may send less than five packets.
func TestUni(t *testing.T) {
	s := loadtest.Stack(t)
	out, _, _ := startServer(t, s)
	text, status := runClient(t, t.Context(), s, "-d", "40ms", "-s", "1000", "-r", "1M", "--sleep")
	m := regexp.MustCompile(`^Doing a unidirectional test.
Sending 1000 byte packets for 0.04 s to of at 1.000 Mb/s.

Test finished.

--- of perf statistics ---
([1-5]) packets transmitted, ([1-5])000 bytes, time: [0-9]+\.[0-9]{3} ms, bandwidth: [0-9.]+ Mb/s.
[0-9]+ packets/s
$`).FindStringSubmatch(text)
	if status != 0 || m == nil || m[1] != m[2] {
		t.Fatalf("status %d:\n%s", status, text)
	}
	out.Await(t, `^Ouroboros perf server started.
New flow 64.
Doing a unidirectional test.
Seqno 0 from fd 64: [0-9]{10}\.[0-9]{6}
(Seqno [1-4] from fd 64: .*\n)*
--- flow 64 perf statistics ---
`+m[1]+` packets received, `+m[1]+`000 bytes, 0 lost, 0% packet loss, time: [0-9]+\.[0-9]{3} ms, bandwidth: [0-9.]+ Mb/s.
0 out-of-order, 0 duplicates, 0 invalid, [0-9]+ packets/s
$`)
}

func TestBi(t *testing.T) {
	s := loadtest.Stack(t)
	out, _, _ := startServer(t, s)
	text, status := runClient(t, t.Context(), s, "-d", "40ms", "-s", "1000", "-r", "1M", "-t", "bi")
	m := regexp.MustCompile(`^Doing a bidirectional test.
Sending 1000 byte packets for 0.04 s to of at 1.000 Mb/s.

Test finished.

--- of perf statistics ---
([1-5]) packets transmitted, ([1-5]) received, 0% packet loss, time: [0-9]+\.[0-9]{3} ms, bandwidth: [0-9.]+ Mb/s.
0 out-of-order, 0 duplicates, 0 invalid, [0-9]+ packets/s
$`).FindStringSubmatch(text)
	if status != 0 || m == nil || m[1] != m[2] {
		t.Fatalf("status %d:\n%s", status, text)
	}
	out.Await(t, `^Ouroboros perf server started.\nNew flow 64.\nDoing a bidirectional test.\n
--- flow 64 perf statistics ---\n`+m[1]+` packets received, `+m[1]+`000 bytes, 0 lost, `)
}

// Both ends agree about floods; of a reliable one nothing is lost.
func TestFlood(t *testing.T) {
	s := loadtest.Stack(t)
	for _, args := range []string{"-t uni -q raw", "-t bi -q raw", "-t uni -q data", "-t bi -q data", "-t uni -q voice"} {
		t.Run(args, func(t *testing.T) {
			out, errs, stop := startServer(t, s, "--json")
			r := figures(t, t.Context(), s, append(strings.Fields(args), "-f", "-d", "50ms", "-s", "512")...)
			errs.Await(t, "Doing a")
			out.Await(t, "\n")
			stop()
			var at result
			if err := json.Unmarshal([]byte(out.String()), &at); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			lossless := strings.HasSuffix(args, "data")
			switch in := at.Received; {
			case r.Role != "client" || at.Role != "server" || at.FD != 64 || r.Test != at.Test || r.QoS != at.QoS || !strings.HasSuffix(args, at.QoS):
				t.Errorf("not the same test:\n%+v\n%+v", r, at)
			case r.Sent.Packets == 0 || r.Sent.Bytes != r.Sent.Packets*512 || in.Packets == 0 || in.Packets > r.Sent.Packets || in.Bytes != in.Packets*512:
				t.Errorf("sent %+v, received %+v", r.Sent, in)
			case lossless && (in.Packets != r.Sent.Packets || in.Lost != 0 || in.OutOfOrder != 0 || in.Duplicates != 0):
				t.Errorf("of %+v the server has %+v", r.Sent, in)
			case r.Received == nil && r.Test == "bi" || r.Received != nil && lossless && r.Received.Packets != r.Sent.Packets:
				t.Errorf("of %+v came back %+v", r.Sent, r.Received)
			case lossless && r.End != "done" || at.End != "done" || r.Time < 50 || r.Mbps <= 0 || at.Mbps <= 0:
				t.Errorf("client %+v\nserver %+v", r, at)
			}
		})
	}
}

// Clients that begin with rubbish, with nothing, or with data do not end a
// server.
func TestBadConfig(t *testing.T) {
	s := loadtest.Stack(t)
	out, _, _ := startServer(t, s, "-W", "50ms")
	for _, c := range []struct{ message, want string }{
		{"\x02\x00\x00\x00", "Invalid config message.\n"},
		{"\x00\x00\x00", "Invalid config message.\n"},
		{"\x00\x00\x00\x00\x00", "Invalid config message.\n"},
		{strings.Repeat("x", 1500), "Invalid config message.\n"},
		{"", "Failed to read config message.\n"},
	} {
		before := len(out.String())
		f, err := s.Dial(t.Context(), "of")
		if err != nil {
			t.Fatal(err)
		}
		if c.message != "" {
			if err := f.WritePacket([]byte(c.message)); err != nil {
				t.Fatal(err)
			}
		}
		text := out.Await(t, fmt.Sprintf(`(?s)^.{%d}New flow 64\.\n.*message\.\n$`, before))[0]
		if got := text[before:]; got != "New flow 64.\n"+c.want {
			t.Errorf("message %.9q: %q", c.message, got)
		}
		// The server closes the flow, and has its number free, before it
		// takes another for the same.
		f.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, _, err := f.ReadPacket(make([]byte, 1)); err == nil {
			t.Error("an answer")
		}
		f.Close()
		settle(t, s)
	}
	if r := figures(t, t.Context(), s, "-d", "10ms", "-t", "bi"); r.Received.Packets == 0 {
		t.Errorf("afterwards: %+v", r)
	}
}

// settle lets a server that has closed a flow come to its end: the next flow
// must not find the number taken. There is nothing else to wait for.
func settle(t *testing.T, s *o7s.Stack) {
	t.Helper()
	time.Sleep(20 * time.Millisecond)
}

// A prototype's client: it says nothing at its end, which is found by silence.
// Losses, repetitions and messages that are too short are counted.
func TestSilentClient(t *testing.T) {
	s := loadtest.Stack(t)
	out, _, _ := startServer(t, s, "-W", "100ms")
	f, err := s.Dial(t.Context(), "of")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, m := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x00data", "\x03\x00\x00\x00data", "\x02\x00\x00\x00data", "\x02\x00\x00\x00data", "\x01\x00"} {
		if err := f.WritePacket([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	out.Await(t, `Seqno 0 from fd 64.*\nSeqno 3 .*\nSeqno 2 .*\nSeqno 2 .*\nFlow 64 timed out.

--- flow 64 perf statistics ---
3 packets received, 24 bytes, 1 lost, 25% packet loss, time: .*
1 out-of-order, 1 duplicates, 1 invalid, `)
}

// A prototype's server: what it is told, and what a client makes of its
// answers, which are late, repeated, of a wrong size, and then missing.
func TestOddServer(t *testing.T) {
	s := loadtest.Stack(t)
	l, err := s.Listen(t.Context(), "of")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var served sync.WaitGroup
	served.Go(func() {
		f, err := l.AcceptFlow(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		f.SetDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 2000)
		n, _, err := f.ReadPacket(buf)
		if err != nil || string(buf[:n]) != "\x01\x00\x00\x00" {
			t.Errorf("first message % x, %v", buf[:n], err)
		}
		var messages [][]byte
		for len(messages) < 5 {
			n, _, err := f.ReadPacket(buf)
			want := make([]byte, 1000)
			want[0] = byte(len(messages))
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Errorf("message %d: %v, % x", len(messages), err, buf[:min(n, 16)])
			}
			messages = append(messages, want)
		}
		for _, m := range [][]byte{messages[1], messages[0], messages[0], messages[4][:999], messages[3]} {
			if err := f.WritePacket(m); err != nil {
				t.Error(err)
			}
		}
		for err == nil { // there may be more
			_, _, err = f.ReadPacket(buf)
		}
	})
	text, status := runClient(t, t.Context(), s, "-t", "bi", "-d", "200ms", "-s", "1000", "-r", "1M")
	if status != 0 || !strings.Contains(text, "Test finished.\nInvalid message on fd 64.\nServer timed out.\n\n--- of perf") ||
		!regexp.MustCompile(`\n[0-9]+ packets transmitted, 3 received, [1-9][0-9]% packet loss, `).MatchString(text) ||
		!strings.Contains(text, "\n1 out-of-order, 1 duplicates, 1 invalid, ") {
		t.Errorf("status %d:\n%s", status, text)
	}
	served.Wait()
}

// A server that goes ends a client, with statistics.
func TestServerGoes(t *testing.T) {
	for _, args := range []string{"-t bi -q raw", "-t uni -q raw", "-t bi -q data", "-t uni -q data"} {
		t.Run(args, func(t *testing.T) {
			s := loadtest.Stack(t)
			out, _, stop := startServer(t, s, "-Q")
			var text string
			var status int
			var running sync.WaitGroup
			running.Go(func() {
				text, status = runClient(t, t.Context(), s, append(strings.Fields(args), "-d", "1h", "-r", "100M")...)
			})
			// There is no line of a quiet server to wait for.
			time.Sleep(50 * time.Millisecond)
			stop()
			running.Wait()
			if status != 0 || !strings.Contains(text, "\n--- of perf statistics ---\n") {
				t.Errorf("status %d:\n%s", status, text)
			}
			if !strings.Contains(out.String(), "\n--- flow 64 perf statistics ---\n") {
				t.Errorf("server:\n%s", out)
			}
		})
	}
}

// A signal, which is the end of the context, ends a client in every phase.
func TestSignal(t *testing.T) {
	s := loadtest.Stack(t)
	startServer(t, s, "-Q")
	for _, args := range []string{"-f", "-f -t bi", "-f -q data", "-f -t bi -q data", "-r 1k", "-r 1k --sleep", "-r 10M -t bi"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		r := figures(t, ctx, s, append(strings.Fields(args), "-d", "1h")...)
		cancel()
		if r.End != "signal" || r.Sent.Packets == 0 {
			t.Errorf("%s: %+v", args, r)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	opt, err := parseOptions([]string{"-n", "of", "-d", "1h"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	opt.settle = time.Hour
	var out, errs bytes.Buffer
	time.AfterFunc(50*time.Millisecond, cancel)
	if status := test(ctx, s, opt, &out, &errs); status != 0 {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(out.String(), "\n0 packets transmitted, ") {
		t.Errorf("in the pause before: %s%s", out.String(), errs.String())
	}
}

func TestNoServer(t *testing.T) {
	text, status := runClient(t, t.Context(), loadtest.Stack(t))
	if status != 1 || text != "Failed to allocate flow.\n" {
		t.Errorf("status %d: %s", status, text)
	}
}

// Many clients at once, more than the 192 of the prototype.
func TestManyFlows(t *testing.T) {
	s := loadtest.Stack(t)
	startServer(t, s, "-Q")
	var flows []*o7s.Flow
	for range 300 {
		f, err := s.Dial(t.Context(), "of")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		flows = append(flows, f)
	}
	buf := make([]byte, 100)
	for i, f := range flows {
		m := fmt.Appendf(nil, "message %d", i)
		for _, p := range [][]byte{bi.config(), m} {
			if err := f.WritePacket(p); err != nil {
				t.Fatal(err)
			}
		}
		f.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, _, err := f.ReadPacket(buf); err != nil || !bytes.Equal(buf[:n], m) {
			t.Fatalf("flow %d: %v, %q", i, err, buf[:n])
		}
	}
}

// Packets that are larger than the flow carries are cut, over a layer that
// carries less than a local one; a reliable flow carries still less.
func TestSizeOfFlow(t *testing.T) {
	join := func(name, addr string) *o7s.Stack {
		t.Helper()
		n, err := node.New(t.Context(), node.Config{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		file, err := config.Parse(fmt.Appendf(nil, "[udp4.%s]\nbootstrap = \"net\"\nip = %q\nport = 3471\nmtu = 1000\nhosts = { of = \"127.0.0.61\" }\n", name, addr), "test")
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Apply(t.Context(), n.IRM(), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		return n.Stack()
	}
	startServer(t, join("a", "127.0.0.61"))
	client := join("b", "127.0.0.62")
	text, status := runClient(t, t.Context(), client, "-d", "10ms", "-t", "bi")
	if status != 0 || !strings.HasPrefix(text, "Packet size truncated to 968 bytes.\nDoing") || !strings.Contains(text, " received, 0% packet loss, ") {
		t.Errorf("status %d:\n%s", status, text)
	}
	r := figures(t, t.Context(), client, "-d", "20ms", "-f", "-t", "bi", "-q", "data")
	if r.Size >= 968 || r.Size < 900 || r.Received.Packets != r.Sent.Packets || r.Sent.Packets == 0 {
		t.Errorf("%+v", r)
	}
}
