// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/load/loadtest"
	"o7gw/o7s/qos"
)

// startServer runs a server until the test or stop ends it.
func startServer(t *testing.T, s *o7s.Stack, args ...string) (out *loadtest.Transcript, stop func()) {
	t.Helper()
	opt, err := parseOptions(append([]string{"-l", "-n", "cb"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	out = loadtest.NewTranscript()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { done <- serve(ctx, s, opt, out, out) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if status := <-done; status != 0 {
				t.Errorf("server: status %d\n%s", status, out)
			}
		})
	}
	t.Cleanup(stop)
	out.Await(t, "^Server started, interval is [0-9.]+ s, timeout is [0-9.]+ s.\n")
	return out, stop
}

// runClient runs a client to its end.
func runClient(t *testing.T, ctx context.Context, s *o7s.Stack, args ...string) (string, int) {
	t.Helper()
	opt, err := parseOptions(append([]string{"-n", "cb"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	var errs io.Writer = &out
	if opt.json {
		errs = io.Discard
	}
	status := send(ctx, s, opt, &out, errs)
	return out.String(), status
}

// The lines of both ends. How many packets a busy machine sends is not certain.
func TestConstantRate(t *testing.T) {
	for _, pace := range []string{"--sleep", "--spin"} {
		t.Run(pace, func(t *testing.T) {
			s := loadtest.Stack(t)
			out, _ := startServer(t, s, "-i", "0.1", "-t", "30")
			text, status := runClient(t, t.Context(), s, "-d", "0.3", "-s", "500", "-r", "100k", pace)
			m := regexp.MustCompile(`^Client started, duration 0.3, rate 100000 b/s, size 500 B.
sent statistics: +([1-8]) packets, +([1-8][05]00|500) bytes in +3[0-9][0-9] ms, [0-9]+\.[0-9]{4} Mb/s
$`).FindStringSubmatch(text)
			if status != 0 || m == nil {
				t.Fatalf("status %d:\n%s", status, text)
			}
			const line = `Flow   64: [ 0-9]{9} packets \([ 0-9]{12} bytes\) in [ 0-9]{9} ms => [ 0-9]{4}\.[0-9]{4} pps, [ 0-9]{4}\.[0-9]{4} Mbps\n`
			got := out.Await(t, `^Server started, interval is 0.1 s, timeout is 30 s.
New flow.
(?:`+line+`)+Test on flow 64 ended
`+line+`received statistics: [ 0-9]{8}([0-9]) packets, [ 0-9]{12} bytes in [ 0-9]{9} ms, [0-9]+\.[0-9]{4} Mb/s
$`)
			if got[1] != m[1] {
				t.Errorf("sent %s packets, the server has\n%s", m[1], got[0])
			}
		})
	}
}

// Each packet of a constant rate begins with its number; in a flood all are
// zeros.
func TestPackets(t *testing.T) {
	s := loadtest.Stack(t)
	l, err := s.Listen(t.Context(), "cb")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		mode, second string
		size         string
	}{
		{"-r8k", "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", "10"},
		{"-r8k", "\x00\x00\x00\x00\x00\x00\x00", "7"},
		{"-f", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "10"},
	} {
		var second []byte
		var reading sync.WaitGroup
		reading.Go(func() {
			f, err := l.AcceptFlow(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			buf := make([]byte, 100)
			for range 2 {
				n, _, err := f.ReadPacket(buf)
				if err != nil {
					t.Error(err)
				}
				second = bytes.Clone(buf[:n])
			}
		})
		runClient(t, t.Context(), s, "-d", "0.1", "-s", c.size, c.mode)
		reading.Wait()
		if string(second) != c.second {
			t.Errorf("%s, %s bytes: second packet % x", c.mode, c.size, second)
		}
	}
}

// reports decodes lines of JSON.
func reports(t *testing.T, text string) (all []report) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r report
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// The reports of a server add up, and on a reliable flow to what was sent.
func TestReports(t *testing.T) {
	s := loadtest.Stack(t)
	for _, cube := range []string{"raw", "data"} {
		opt, err := parseOptions([]string{"-l", "-n", "cb", "-i", "0.02", "-t", "30", "--json"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		outJSON, notices := loadtest.NewTranscript(), loadtest.NewTranscript()
		serving.Go(func() {
			if status := serve(ctx, s, opt, outJSON, notices); status != 0 {
				t.Errorf("status %d: %s", status, notices)
			}
		})
		notices.Await(t, "Server started")
		text, status := runClient(t, t.Context(), s, "-d", "0.1", "-f", "-q", cube, "--json")
		client := reports(t, text)
		if status != 0 || len(client) != 1 || client[0].Kind != sent || client[0].End != "done" || client[0].Size != 1000 {
			t.Fatalf("status %d: %s", status, text)
		}
		outJSON.Await(t, `"total"`)
		cancel()
		serving.Wait()
		var sum uint64
		all := reports(t, outJSON.String())
		for _, r := range all[:len(all)-1] {
			if r.Kind != interval || r.FD != 64 || r.Bytes != r.Packets*1000 {
				t.Errorf("report %+v", r)
			}
			sum += r.Packets
		}
		last := all[len(all)-1]
		if last.Kind != total || last.Packets != sum || sum == 0 || sum > client[0].Packets || last.End != "done" || last.QoS != cube || last.Name != "cb" {
			t.Errorf("%d packets in %d reports, and in all: %+v", sum, len(all)-1, last)
		}
		if cube == "data" && sum != client[0].Packets {
			t.Errorf("%d of %d packets arrived", sum, client[0].Packets)
		}
	}
}

// A client that says nothing more is found by its silence; another's flow goes
// on.
func TestSilence(t *testing.T) {
	s := loadtest.Stack(t)
	out, _ := startServer(t, s, "-i", "30", "-t", "0.1")
	f, err := s.Dial(t.Context(), "cb")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 3 {
		if err := f.WritePacket([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	out.Await(t, `New flow.\nTest on flow 64 timed out\nFlow   64:         3 packets \(           3 bytes\) in .*\nreceived statistics:         3 packets,`)
	if _, _, err := f.ReadPacket(make([]byte, 1)); err == nil {
		t.Error("the server sent something")
	}
}

// More clients than the 10 of the prototype.
func TestManyFlows(t *testing.T) {
	s := loadtest.Stack(t)
	out, stop := startServer(t, s, "-t", "30")
	for range 50 {
		f, err := s.Dial(t.Context(), "cb", o7s.WithQoS(qos.Data))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.WritePacket([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	out.Await(t, `(?s)(received statistics:         1 packets.*){50}`)
	stop()
}

// A signal, which is the end of the context, ends both ends with what there is.
func TestSignal(t *testing.T) {
	s := loadtest.Stack(t)
	out, stop := startServer(t, s, "-t", "30")
	for _, args := range []string{"-f", "-f -q data", "-r 1k", "-r 1k --spin"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		text, status := runClient(t, ctx, s, append(strings.Fields(args), "--json")...)
		cancel()
		if r := reports(t, text); status != 0 || len(r) != 1 || r[0].End != "signal" || r[0].Packets == 0 {
			t.Errorf("%s: status %d: %s", args, status, text)
		}
	}
	f, err := s.Dial(t.Context(), "cb")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out.Await(t, `(?s)(New flow.*){5}`)
	stop()
	if text := out.String(); strings.Count(text, "received statistics:") != 5 {
		t.Errorf("server:\n%s", text)
	}
}

// A server that goes ends a client with statistics.
func TestServerGoes(t *testing.T) {
	for _, cube := range []string{"raw", "data"} {
		s := loadtest.Stack(t)
		out, stop := startServer(t, s)
		var text string
		var status int
		var running sync.WaitGroup
		running.Go(func() { text, status = runClient(t, t.Context(), s, "-q", cube, "-r", "100M") })
		out.Await(t, "New flow.\n")
		stop()
		running.Wait()
		if status != 0 || !strings.Contains(text, "\nsent statistics: ") {
			t.Errorf("%s: status %d:\n%s", cube, status, text)
		}
	}
}

func TestNoServer(t *testing.T) {
	text, status := runClient(t, t.Context(), loadtest.Stack(t))
	if status != failed || !strings.HasPrefix(text, "Failed to allocate flow.\n") {
		t.Errorf("status %d: %s", status, text)
	}
}
