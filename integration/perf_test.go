// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"encoding/json"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Operf and ocbr across a network: what is sent over a reliable flow arrives,
// and both ends say so.
func TestOperfAcrossUDP(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	w.udpPair(addr4, "of", "cb")
	server := w.start(1, "Ouroboros perf server started.\n", "operf", "-l", "-n", "of")
	type figures struct {
		Sent     struct{ Packets uint64 }
		Received *struct{ Packets, Lost uint64 }
		End      string
	}
	for _, args := range []string{"-q raw -r 8M", "-q data -f", "-q data -f -t bi", "-q voice -t bi -r 8M --sleep"} {
		var r figures
		out := w.mustRun(0, "operf", append(strings.Fields(args), "-n", "of", "-d", "300ms", "-s", "1400", "--json")...)
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Sent.Packets == 0 || r.End != "done" {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
		if both := strings.Contains(args, "bi"); both != (r.Received != nil) || both && (r.Received.Packets != r.Sent.Packets || r.Received.Lost != 0) {
			t.Errorf("%s: %s", args, out)
		}
	}
	if err := server.WaitFor(w.ctx, "perf statistics"); err != nil {
		t.Error(err)
	}

	// A signal ends both in order, the client first, with statistics.
	client := w.start(0, "Doing", "operf", "-n", "of", "-d", "1h", "-r", "1M")
	time.Sleep(1200 * time.Millisecond) // beyond the pause before the first packet
	if err := client.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	w.within(10*time.Second, client)
	if client.ExitCode() != 0 || !strings.Contains(client.Output(), "\n--- of perf statistics ---\n") {
		t.Errorf("client: status %d:\n%s", client.ExitCode(), client.Output())
	}
	if err := server.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.within(10*time.Second, server)
	if server.ExitCode() != 0 || strings.Count(server.Output(), "perf statistics ---") != 5 {
		t.Errorf("server: status %d:\n%s", server.ExitCode(), server.Output())
	}
}

func TestOcbrAcrossUDP(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	w.udpPair(addr4, "cb")
	server := w.start(1, "Server started, interval is 1 s, timeout is 2 s.\n", "ocbr", "-l", "-n", "cb", "-t", "2")
	sent := regexp.MustCompile(`^Client started, duration 0.3, rate 8000000 b/s, size 1000 B.\nsent statistics: +([0-9]+) packets, `)
	m := sent.FindStringSubmatch(w.mustRun(0, "ocbr", "-n", "cb", "-q", "data", "-d", "0.3", "-r", "8M"))
	if m == nil {
		t.Fatal("no statistics")
	}
	if err := server.WaitFor(w.ctx, "received statistics: "+strings.Repeat(" ", 9-len(m[1]))+m[1]+" packets, "); err != nil {
		t.Errorf("%v; sent %s packets", err, m[1])
	}
	if out, status := w.run(0, "ocbr", "-n", "nosuch"); status != 255 || !strings.Contains(out, "Failed to allocate flow.\n") {
		t.Errorf("unknown name: status %d:\n%s", status, out)
	}
	if err := server.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	w.within(10*time.Second, server)
	if server.ExitCode() != 0 {
		t.Errorf("server: status %d", server.ExitCode())
	}
}
