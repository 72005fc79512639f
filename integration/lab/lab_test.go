// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func prefix(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }

func TestHosts(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	n := New()
	defer n.Close()
	a, err := n.Host("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Host("b")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Link(a, prefix("10.9.0.1/24"), b, prefix("10.9.0.2/24")); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Links(); err != nil || !slices.Equal(got, []string{"lo", "to-b"}) {
		t.Errorf("devices of a: %v, %v", got, err)
	}
	if mtu, err := b.MTU("to-a"); err != nil || mtu != 1500 {
		t.Errorf("MTU %d, %v", mtu, err)
	}

	p, err := b.Start(exec.Command("sh", "-c", "echo ready; exit 7"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitFor(ctx, "ready"); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(ctx); err == nil || p.ExitCode() != 7 {
		t.Errorf("wait: %v, status %d", err, p.ExitCode())
	}
	q, err := b.Start(exec.Command("sleep", "100"))
	if err != nil {
		t.Fatal(err)
	}
	pids, err := b.Processes()
	if err != nil || !slices.Contains(pids, q.PID()) {
		t.Errorf("processes of b: %v, %v; want %d", pids, err, q.PID())
	}
	if u, err := q.Usage(); err != nil || u.Descriptors < 3 || u.Threads != 1 || u.Resident == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if err := q.Stop(ctx); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("stop: %v", err)
	}
	if pids, err := b.Processes(); err != nil || slices.Contains(pids, q.PID()) {
		t.Errorf("processes of b: %v, %v", pids, err)
	}
	if out, err := a.Run(ctx, "sh", "-c", "cat /proc/net/dev; exit 3"); err == nil || !strings.Contains(out, "to-b:") {
		t.Errorf("run: %v, %s", err, out)
	}
}
