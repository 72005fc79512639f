// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"o7gw/gateway/nstest"
)

const (
	childJob = "O7GW_TEST_CHILD"
)

// TestMain runs the tests again in a network namespace of their own, so that
// they touch nothing of the machine. A child does its job instead.
func TestMain(m *testing.M) {
	flag.Parse()
	if job := os.Getenv(childJob); job != "" {
		child(job, flag.Args())
		return
	}
	os.Exit(nstest.Main(m))
}

// world makes the links of a router, which go with the test:
//
//	lan 10.1.0.1/16, fd01::1/32 ─ machine ─ wan 192.0.2.2/24, fd02::2/64, default route
//	                                 └ tun0, the device that Apply is for
func world(t testing.TB) {
	t.Helper()
	nstest.Need(t)
	run(t, "ip link set lo up")
	t.Cleanup(func() {
		for _, l := range []string{"lan", "wan", "tun0"} {
			exec.Command("ip", "link", "del", l).Run()
		}
	})
	for _, c := range []string{
		"sysctl -qw net.ipv6.conf.all.addr_gen_mode=1 net.ipv6.conf.default.addr_gen_mode=1", // no link-local addresses that appear later
		"ip link add lan type veth peer name lan-far",
		"ip link add wan type veth peer name wan-far",
		"ip link add tun0 type veth peer name tun0-far",
		"ip addr add 10.1.0.1/16 dev lan",
		"ip addr add fd01::1/32 dev lan nodad",
		"ip addr add 192.0.2.2/24 dev wan",
		"ip addr add fd02::2/64 dev wan nodad",
		"ip addr add 100.64.0.1/32 dev tun0",
		"ip addr add fd03::1/128 dev tun0 nodad",
		"ip link set lan up", "ip link set wan up", "ip link set tun0 up",
		"ip link set lan-far up", "ip link set wan-far up", "ip link set tun0-far up",
		"ip route add default via 192.0.2.1",
		"ip -6 route add default via fd02::1",
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
	} {
		run(t, c)
	}
}

func run(t testing.TB, command string) string {
	t.Helper()
	f := strings.Fields(command)
	out, err := exec.Command(f[0], f[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// kernel returns all rules and routes, but for those that the kernel makes
// itself: they come some time after their link.
func kernel(t testing.TB) string {
	t.Helper()
	all := run(t, "ip -4 rule") + run(t, "ip -6 rule") + run(t, "ip -4 route show table all") + run(t, "ip -6 route show table all")
	var b strings.Builder
	for line := range strings.Lines(all) {
		if !strings.Contains(line, "proto kernel") {
			b.WriteString(strings.Replace(line, " linkdown", "", 1))
		}
	}
	return b.String()
}

// changed returns the lines by which two states differ.
func changed(before, after string) string {
	var b strings.Builder
	for _, d := range []struct{ sign, in, out string }{{"-", before, after}, {"+", after, before}} {
		for line := range strings.Lines(d.in) {
			if !strings.Contains(d.out, line) {
				b.WriteString(d.sign + line)
			}
		}
	}
	return b.String()
}

// way returns the device that the kernel takes for what ip route get is asked.
func way(t testing.TB, query string) string {
	t.Helper()
	family := ""
	if strings.Contains(query, ":") {
		family = "-6 "
	}
	f := strings.Fields(run(t, "ip "+family+"route get "+query))
	for i := range f {
		if f[i] == "dev" {
			return f[i+1]
		}
	}
	t.Fatalf("no device in %q", f)
	return ""
}

// ways checks queries against the devices expected.
func ways(t testing.TB, want map[string]string) {
	t.Helper()
	for query, dev := range want {
		if got := way(t, query); got != dev {
			t.Errorf("%s goes to %s, want %s", query, got, dev)
		}
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// peer is a process of this test binary that does a job.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// spawn starts a child and waits until it says "ready".
func spawn(t testing.TB, attr *syscall.SysProcAttr, job string, args ...string) *peer {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childJob+"="+job)
	cmd.Stderr = os.Stderr
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // Pdeathsig is the thread's
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		runtime.UnlockOSThread()
	})
	p := &peer{cmd, in, bufio.NewReader(out)}
	p.expect(t, "ready")
	return p
}

func (p *peer) expect(t testing.TB, want string) {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		t.Fatalf("child said %q, %v, want %q", line, err, want)
	}
}

// kill ends the child as kill -9 does.
func (p *peer) kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
}

// child applies a plan to tun0 and removes it when its input ends. Jobs:
//
//	hold   only that
//	bare   with no capability but CAP_NET_ADMIN before removing
func child(job string, args []string) {
	runtime.LockOSThread() // capabilities are the thread's
	must := func(err error) {
		if err != nil {
			fmt.Println("child:", err)
			os.Exit(1)
		}
	}
	p := Plan{Device: "tun0", Prefixes: prefixes("0.0.0.0/0", "::/0", "198.51.100.0/24"), Own: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:3435")}}
	a, err := Apply(args[0], p)
	must(err)
	if job == "bare" {
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		d := [2]unix.CapUserData{{Effective: 1 << unix.CAP_NET_ADMIN, Permitted: 1 << unix.CAP_NET_ADMIN}}
		must(unix.Capset(&h, &d[0]))
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	must(a.Remove())
	must(a.Remove())
	fmt.Println("removed")
}
