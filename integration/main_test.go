// SPDX-License-Identifier: BSD-3-Clause

// Package integration tests the whole system (DESIGN §9): real programs on
// hosts in network namespaces. It needs root and the programs that deps.sh
// installs; what is missing makes tests skip and say so.
//
// Limits of time in these tests only keep a broken run from hanging; no test
// asserts how fast something is, beyond "the end of a process is noticed
// within seconds".
package integration

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// roleEnv names what a re-execution of the test binary does on a host.
const roleEnv = "O7GW_TEST_ROLE"

// roles are the programs that a re-execution can be; files add theirs.
var roles = map[string]func(ctx context.Context, args []string) error{
	"embedded-server": embeddedServer,
	"embedded-client": embeddedClient,
	"steady":          steady,
	"quake-client":    quakeClient,
}

var (
	bin     string // directory with the programs, built once
	whyNot  error  // why these tests cannot run here, nil if they can
	workDir string // directory for everything that tests write; short, for sockets
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		ctx, stop := signalContext()
		err := roles[role](ctx, os.Args[1:])
		stop()
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(setUpAndRun(m))
}

func setUpAndRun(m *testing.M) int {
	if whyNot = lab.Check(); whyNot != nil {
		return m.Run()
	}
	var err error
	if workDir, err = os.MkdirTemp("", "o7t"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(workDir)
	// Programs started for a user who is not root must be reachable.
	if err := os.Chmod(workDir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin = filepath.Join(workDir, "bin")
	if err := lab.Build(bin, "o7gw/cmd/..."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// world is the hosts of one test.
type world struct {
	t     *testing.T
	ctx   context.Context
	net   *lab.Net
	hosts []*lab.Host
	dir   string
	dirs  []string // run directory of the daemon of each host
}

// newWorld makes hosts joined in a line: host i has 10.1.i.1 and fd00:i::1
// towards host i+1, which has 10.1.i.2 and fd00:i::2 there. The test may
// take limit.
func newWorld(t *testing.T, limit time.Duration, hosts int) *world {
	t.Helper()
	if whyNot != nil {
		t.Skip("whole-system test: ", whyNot)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp(workDir, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: ctx, net: lab.New(), dir: dir}
	t.Cleanup(func() {
		if err := w.net.Close(); err != nil {
			t.Errorf("remove the hosts: %v", err)
		}
	})
	for i := range hosts {
		h, err := w.net.Host(string(rune('a' + i)))
		if err != nil {
			t.Fatal(err)
		}
		w.hosts = append(w.hosts, h)
		w.dirs = append(w.dirs, filepath.Join(dir, h.Name))
	}
	for i := range hosts - 1 {
		if err := w.net.Link(w.hosts[i], w.prefixes(i, 1), w.hosts[i+1], w.prefixes(i, 2)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// prefixes are the addresses of one end of link i.
func (w *world) prefixes(link, end int) []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(addr4(link, end), 24), netip.PrefixFrom(addr6(link, end), 64)}
}

func addr4(link, end int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 1, byte(link), byte(end)})
}

func addr6(link, end int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", link, end))
}

// daemon starts irmd on host i with a configuration.
func (w *world) daemon(i int, config ...fmt.Stringer) *lab.Daemon {
	w.t.Helper()
	var text strings.Builder
	for _, c := range config {
		text.WriteString(c.String())
	}
	d, err := w.hosts[i].StartDaemon(w.ctx, filepath.Join(bin, "irmd"), w.dirs[i], text.String())
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// command is one of our programs, with the daemon of host i.
func (w *world) command(i int, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Env = append(os.Environ(), "O7S_RUN_DIR="+w.dirs[i])
	return cmd
}

// start starts one of our programs and waits until it has printed a text.
func (w *world) start(i int, until, name string, args ...string) *lab.Proc {
	w.t.Helper()
	p, err := w.hosts[i].Start(w.command(i, name, args...))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.WaitFor(w.ctx, until); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// run runs one of our programs to its end and returns what it printed and its
// status.
func (w *world) run(i int, name string, args ...string) (string, int) {
	w.t.Helper()
	p, err := w.hosts[i].Start(w.command(i, name, args...))
	if err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-w.ctx.Done():
		w.t.Fatalf("%s %s did not end; it printed:\n%s", name, strings.Join(args, " "), p.Output())
	}
	return p.Output(), p.ExitCode()
}

// mustRun is run for programs that must succeed.
func (w *world) mustRun(i int, name string, args ...string) string {
	w.t.Helper()
	out, status := w.run(i, name, args...)
	if status != 0 {
		w.t.Fatalf("%s %s: status %d:\n%s", name, strings.Join(args, " "), status, out)
	}
	return out
}

// system runs a program of the system on host i, which must succeed.
func (w *world) system(i int, name string, args ...string) string {
	w.t.Helper()
	out, err := w.hosts[i].Run(w.ctx, name, args...)
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// needs skips the test if programs of the system are missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%v; integration/deps.sh installs it", err)
		}
	}
}

// eventually polls until ok is true. It is for states that nothing announces.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// within fails the test if the process does not end in time.
func (w *world) within(limit time.Duration, p *lab.Proc) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	select {
	case <-p.Done():
	case <-ctx.Done():
		w.t.Fatalf("%s still runs; it printed:\n%s", p.Name, p.Output())
	}
}
