// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package demo shows on one machine what a gateway does ("o7gw demo"): as root
// with two hosts in network namespaces and a tunnel between them, else with two
// nodes on the loopback interface and a local forward.
//
// Start with Run; a main that calls it must begin with IsHost and RunHost,
// because the hosts are the same program, started again.
//
// Nothing outlasts the demo, however it ends: the namespaces have no name and
// exist only as long as the processes in them, which the kernel kills when
// their parent dies.
package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options say how to run.
type Options struct {
	Once bool // end after the first round
	Out  io.Writer
	Log  *slog.Logger // of the nodes
}

// The addresses of the demo. The outer ones are for documentation (RFC 5737),
// so that they collide with nothing.
const (
	outerA, outerB   = "192.0.2.1", "192.0.2.2"
	innerA, innerB   = "10.77.0.1", "10.77.0.2"
	innerA6, innerB6 = "fd00:77::1", "fd00:77::2"
	service          = "demo.vpn"
	webPort          = 80
	speedPort        = 5201
)

// Run runs the demo until it is done or ctx ends.
func Run(ctx context.Context, o Options) error {
	removeStale()
	if os.Geteuid() == 0 {
		return runHosts(ctx, o)
	}
	fmt.Fprintln(o.Out, "Not root: no network namespaces. This is the small demo, two nodes on the loopback")
	fmt.Fprintf(o.Out, "interface; \"sudo o7gw demo\" shows two hosts and a tunnel.\n\n")
	return runLocal(ctx, o)
}

// runHosts is the demo with namespaces.
func runHosts(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", tempPrefix())
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer os.RemoveAll(dir)
	l := newLauncher(dir, o)
	defer l.close()
	say := func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }
	say("Two hosts in network namespaces, joined by a virtual cable:")
	a, err := l.host("A", outerA, confA(dir))
	if err != nil {
		return err
	}
	b, err := l.host("B", outerB, confB(dir))
	if err != nil {
		return err
	}
	if err := l.cable(a, b); err != nil {
		return err
	}
	for _, h := range []*host{a, b} {
		if err := h.begin(ctx); err != nil {
			return err
		}
	}
	say("  host A: eth0 %s; serves the Ouroboros name %s; tunnel %s %s; web server", outerA, service, innerA, innerA6)
	say("  host B: eth0 %s; connects to %s; tunnel %s %s", outerB, service, innerB, innerB6)
	say("What follows happens on host B and goes through the tunnel, over Ouroboros flows of a udp4 layer.\n")
	if err := l.visit(ctx, b); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if o.Once {
		return nil
	}
	say("\nStill running; stop it with Ctrl-C. To try in another terminal, as root:")
	on := func(h *host) string { return "nsenter -t " + strconv.Itoa(h.pid()) + " -n" }
	say("  %s curl http://%s/            # the page, from host B", on(b), innerA)
	say("  %s ping %s                    # full size: add -M do -s 1400", on(b), innerA6)
	say("  %s iperf3 -s -D; %s iperf3 -c %s   # TCP; -R for the other way", on(a), on(b), innerA)
	say("  o7gw status --run-dir %s/B                       # the client's gateway", dir)
	say("  cat %s/B/o7gw.toml                               # its configuration", dir)
	select {
	case <-ctx.Done():
	case err = <-l.died:
	}
	return err
}

func confA(dir string) string {
	return fmt.Sprintf(`run_dir = %q

[udp4.cable]
bootstrap = "cable"
ip        = %q

[[tunnel]]
name    = "demo"
device  = "vpn0"
listen  = %q
address = ["%s/24", "%s/64"]
`, filepath.Join(dir, "A"), outerA, service, innerA, innerA6)
}

func confB(dir string) string {
	return fmt.Sprintf(`run_dir = %q

[udp4.cable]
bootstrap = "cable"
ip        = %q
hosts     = { %q = %q }

[[tunnel]]
name    = "demo"
device  = "vpn0"
connect = %q
address = ["%s/24", "%s/64"]
`, filepath.Join(dir, "B"), outerB, service, outerA, service, innerB, innerB6)
}

func tempPrefix() string { return "o7gw-demo-" + strconv.Itoa(os.Getpid()) + "-" }

// removeStale removes the directories of demos that were killed. They hold
// sockets and configurations only.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "o7gw-demo-*-*"))
	for _, d := range dirs {
		parts := strings.Split(filepath.Base(d), "-")
		pid, err := strconv.Atoi(parts[2])
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(d)
		}
	}
}

// startLimit bounds the start of a host.
const startLimit = 30 * time.Second

// awaitReady reads lines until one says that the host is ready.
func awaitReady(ctx context.Context, r io.Reader, name string) error {
	type result struct {
		line string
		err  error
	}
	ch := make(chan result, 1)
	go func() { // ends with the pipe, at the latest when the host dies
		line, err := bufio.NewReader(r).ReadString('\n')
		ch <- result{strings.TrimSpace(line), err}
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	select {
	case <-ctx.Done():
		return fmt.Errorf("demo: host %s: %w", name, ctx.Err())
	case res := <-ch:
		if res.err != nil {
			return fmt.Errorf("demo: host %s ended during its start", name)
		}
		if res.line != "ready" {
			return fmt.Errorf("demo: host %s: %s", name, res.line)
		}
		return nil
	}
}
