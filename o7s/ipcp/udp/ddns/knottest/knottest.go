// SPDX-License-Identifier: BSD-3-Clause

// Package knottest runs a real DNS server for tests: Knot (Debian's package
// knot), as a child in the foreground, with all of its files in one directory
// and a root zone that takes updates, which the single-label names of udp
// layers need (spec 10 §2.9).
//
// Start is for tests on this host; Command is for those that run the server
// elsewhere, and wait until it prints Ready.
package knottest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Program is what must be installed.
const Program = "knotd"

// Ready is what the server prints on standard error when it answers.
const Ready = "server started in the foreground"

const config = `server:
    listen: %[2]s@%[3]d
    rundir: %[1]s
    pidfile: %[1]s/pid
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: %[1]s
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
    catalog-db-max-size: 16M
log:
  - target: stderr
    any: info
acl:
  - id: members
    action: update
    address: [%[4]s]
template:
  - id: default
    storage: %[1]s
    zonefile-sync: -1
zone:
  - domain: .
    file: root.zone
    acl: members
`

const zone = `. 60 SOA ns. admin. 1 3600 600 86400 1
. 60 NS ns.
ns. 60 TXT "for tests"
`

// Command returns a command that runs the server at an address, with updates
// allowed from a prefix. Its files are in dir; a server started there again
// has the records of the first.
func Command(dir string, at netip.AddrPort, members netip.Prefix) (*exec.Cmd, error) {
	path, err := exec.LookPath(Program)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + Program) // not in everybody's PATH
	}
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "knot.conf")
	for file, text := range map[string]string{
		conf:                            fmt.Sprintf(config, dir, at.Addr(), at.Port(), members),
		filepath.Join(dir, "root.zone"): zone,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return exec.Command(path, "-c", conf), nil
}

// Ports for servers lie below those that systems give to outgoing connections, one of which
// may have taken a port before the server does.
const firstPort, ports = 10000, 20000

// FreePort returns a port that is free for UDP and TCP at an address.
func FreePort(t testing.TB, addr netip.Addr) uint16 {
	t.Helper()
	for range 100 {
		at := netip.AddrPortFrom(addr, uint16(firstPort+rand.IntN(ports)))
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			continue
		}
		c.Close()
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			continue
		}
		l.Close()
		return at.Port()
	}
	t.Fatalf("no port is free at %v", addr)
	return 0
}

// Start runs the server until the returned function is called, or the test
// ends. It skips the test where there is no Knot.
func Start(t testing.TB, dir string, at netip.AddrPort, members netip.Prefix) (stop func()) {
	t.Helper()
	cmd, err := Command(dir, at, members)
	if err != nil {
		t.Skipf("%v; integration/deps.sh installs it", err)
	}
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up, ended := make(chan struct{}), make(chan struct{})
	var said strings.Builder // the reader's until ended
	go func() {              // to the end, or the server would wait for us
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
			if strings.Contains(lines.Text(), Ready) {
				close(up)
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		// A server that hangs at its end must not hang the test.
		limit := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		defer limit.Stop()
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		cmd.Wait()
	})
	t.Cleanup(stop)
	limit := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer limit.Stop()
	select {
	case <-up:
	case <-ended:
		t.Fatalf("%s did not start:\n%s", Program, said.String())
	}
	return stop
}
