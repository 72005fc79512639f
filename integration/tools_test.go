// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// udpPair starts daemons on the hosts at both ends of link 0, joined by a
// udp4 or udp6 layer in which the second serves names.
func (w *world) udpPair(ip func(link, end int) netip.Addr, names ...string) (a, b *lab.Daemon) {
	w.t.Helper()
	hosts := map[string]netip.Addr{}
	for _, n := range names {
		hosts[n] = ip(0, 2)
	}
	b = w.daemon(1, lab.UDPLayer{Name: "udp", IP: ip(0, 2), Serve: names})
	a = w.daemon(0, lab.UDPLayer{Name: "udp", IP: ip(0, 1), Hosts: hosts})
	return a, b
}

// statistics matches the last lines of a run of oping without loss.
func statistics(name string, packets string) *regexp.Regexp {
	const us = `[0-9]+\.[0-9]{3}`
	return regexp.MustCompile(`\n--- ` + name + ` ping statistics ---\n` +
		packets + ` packets transmitted, ` + packets + ` received, 0 out-of-order, 0% packet loss, time: ` + us + ` ms\n` +
		`rtt min/avg/max/mdev = ` + us + `/` + us + `/` + us + `/(` + us + `|NaN) (µs|ms)\n$`)
}

func TestPingAcrossUDP(t *testing.T) {
	for name, ip := range map[string]func(link, end int) netip.Addr{"udp4": addr4, "udp6": addr6} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 30*time.Second, 2)
			w.udpPair(ip, "op")
			server := w.start(1, "Ouroboros ping server started.\n", "oping", "-l", "-n", "op")

			out := w.mustRun(0, "oping", "-n", "op", "-c", "3", "-i", "10ms")
			lines := strings.Split(out, "\n")
			if lines[0] != "Pinging op with 64 bytes of data (3 packets):" || lines[1] != "" ||
				!regexp.MustCompile(`^64 bytes from op: seq=0 time=[0-9.]+ (ms|µs)$`).MatchString(lines[2]) ||
				!statistics("op", "3").MatchString(out) {
				t.Errorf("oping printed:\n%s", out)
			}
			if err := server.WaitFor(w.ctx, "New flow 64.\n"+strings.Repeat("Received 64 bytes on fd 64.\n", 3)); err != nil {
				t.Error(err)
			}

			out = w.mustRun(0, "oping", "-n", "op", "-f", "-Q", "--json", "-c", "1000", "-s", "1400")
			var r struct {
				Sent, Received int
				End            string
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Sent != 1000 || r.Received < 990 || r.End != "done" {
				t.Errorf("flood: %v\n%s", err, out)
			}

			if err := server.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			w.within(10*time.Second, server)
			if server.ExitCode() != 0 {
				t.Errorf("the server ended with status %d", server.ExitCode())
			}
		})
	}
}

// A client whose server goes away ends at once, with statistics.
func TestPingSeesEndOfServer(t *testing.T) {
	w := newWorld(t, 30*time.Second, 2)
	w.udpPair(addr4, "op")
	server := w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	client := w.start(0, "seq=1", "oping", "-n", "op", "-i", "20ms")
	if err := server.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.within(10*time.Second, client)
	if out := client.Output(); client.ExitCode() != 0 || !strings.Contains(out, "Server closed the flow.\n\n--- op ping statistics") {
		t.Errorf("status %d:\n%s", client.ExitCode(), out)
	}
}

// A signal ends a client with statistics.
func TestPingSignal(t *testing.T) {
	w := newWorld(t, 30*time.Second, 1)
	w.daemon(0)
	w.start(0, "started", "oping", "-l", "-Q", "-n", "op")
	for _, mode := range [][]string{{"-i", "10ms"}, {"-f"}, {"-F"}} {
		client := w.start(0, "seq=", "oping", append([]string{"-n", "op"}, mode...)...)
		if err := client.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		w.within(10*time.Second, client)
		if client.ExitCode() != 0 || !strings.Contains(client.Output(), "--- op ping statistics ---") {
			t.Errorf("%v: status %d:\n%s", mode, client.ExitCode(), client.Output())
		}
	}
}

func TestPingFailures(t *testing.T) {
	w := newWorld(t, 30*time.Second, 1)
	w.daemon(0)
	out, status := w.run(0, "oping", "-n", "nosuch", "-c", "1")
	if status != 1 || !regexp.MustCompile(`Failed to allocate flow: -100[37]\.\n`).MatchString(out) {
		t.Errorf("unknown name: status %d:\n%s", status, out)
	}
	// A duration is one also in flood mode.
	w.start(0, "started", "oping", "-l", "-Q", "-n", "op")
	out = w.mustRun(0, "oping", "-n", "op", "-f", "-Q", "--json", "-d", "200ms", "--fail-on-loss")
	var r struct {
		Sent, Received int
		Time           float64 `json:"time_ms"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Sent < 10 || r.Received != r.Sent || r.Time < 200 {
		t.Errorf("flood for 200 ms: %v\n%s", err, out)
	}
}

// Names bound with irm, and a program started on demand.
func TestEchoWithBindings(t *testing.T) {
	w := newWorld(t, 30*time.Second, 2)
	w.udpPair(addr4, "oecho", "op")
	w.mustRun(1, "irm", "bind", "program", bin+"/oecho", "name", "oecho")
	server := w.start(1, "Starting the server.\n", "oecho", "-l")
	if out := w.mustRun(0, "oecho"); out != "Server replied with Client says hi!\n" {
		t.Errorf("client: %q", out)
	}
	if err := server.WaitFor(w.ctx, "Starting the server.\nNew flow.\nMessage from client is Client says hi!.\n"); err != nil {
		t.Error(err)
	}

	w.mustRun(1, "irm", "bind", "program", bin+"/oping", "name", "op", "auto", "--", "-l", "-Q")
	if out := w.mustRun(0, "oping", "-n", "op", "-c", "2", "-i", "10ms"); !statistics("op", "2").MatchString(out) {
		t.Errorf("ping of a program started on demand:\n%s", out)
	}
	if out := w.mustRun(1, "irm", "name", "list"); !strings.Contains(out, " op ") || !strings.Contains(out, " oecho ") {
		t.Errorf("irm name list:\n%s", out)
	}
}

// Three hosts: the middle one serves two layers, one on each side.
func TestThreeHosts(t *testing.T) {
	w := newWorld(t, 30*time.Second, 3)
	w.daemon(1,
		lab.UDPLayer{Name: "left", Layer: "l", IP: addr4(0, 2), Serve: []string{"op"}, Hosts: map[string]netip.Addr{"left": addr4(0, 1)}},
		lab.UDPLayer{Name: "right", Layer: "r", IP: addr6(1, 1), Serve: []string{"op"}, Hosts: map[string]netip.Addr{"right": addr6(1, 2)}})
	w.daemon(0, lab.UDPLayer{Name: "left", Layer: "l", IP: addr4(0, 1), Serve: []string{"left"}, Hosts: map[string]netip.Addr{"op": addr4(0, 2)}})
	w.daemon(2, lab.UDPLayer{Name: "right", Layer: "r", IP: addr6(1, 2), Serve: []string{"right"}, Hosts: map[string]netip.Addr{"op": addr6(1, 1)}})
	w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	w.start(0, "started", "oping", "-l", "-Q", "-n", "left")
	w.start(2, "started", "oping", "-l", "-Q", "-n", "right")
	for _, c := range []struct {
		from int
		to   string
	}{{0, "op"}, {2, "op"}, {1, "left"}, {1, "right"}} {
		if out := w.mustRun(c.from, "oping", "-n", c.to, "-c", "2", "-i", "10ms"); !statistics(c.to, "2").MatchString(out) {
			t.Errorf("%s from host %d:\n%s", c.to, c.from, out)
		}
	}
	if out, status := w.run(0, "oping", "-n", "right", "-c", "1"); status != 1 {
		t.Errorf("layers are not joined, yet host 0 reached host 2: status %d:\n%s", status, out)
	}
}
