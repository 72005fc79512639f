// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Only forwarded packets are taken, and the longest prefix decides.
func TestForwardedPacketsOnly(t *testing.T) {
	for name, c := range map[string]struct {
		from, iif []string
		taken     map[string]bool // sources behind lan
	}{
		"from":     {from: []string{"10.1.5.0/24", "fd01::/32"}, taken: map[string]bool{"10.1.5.9": true, "10.1.6.9": false}},
		"iif":      {iif: []string{"lan", "other", "lan"}, taken: map[string]bool{"10.1.5.9": true, "10.1.6.9": true}},
		"from iif": {from: []string{"10.1.5.0/24", "fd01::/32"}, iif: []string{"lan"}, taken: map[string]bool{"10.1.5.9": true, "10.1.6.9": false}},
	} {
		t.Run(name, func(t *testing.T) {
			world(t)
			before := kernel(t)
			run(t, "ip route add 203.0.113.128/25 dev wan")
			p := Plan{
				Device: "tun0", Iif: c.iif, From: prefixes(c.from...),
				Prefixes: prefixes("0.0.0.0/0", "::/0", "203.0.113.0/24", "203.0.113.160/28", "203.0.113.160/28"),
			}
			a, err := Apply(t.TempDir(), p)
			if err != nil {
				t.Fatal(err)
			}
			for src, taken := range c.taken {
				wan := map[bool]string{true: "tun0", false: "wan"}[taken]
				ways(t, map[string]string{
					"8.8.8.8 from " + src + " iif lan":       wan,
					"203.0.113.1 from " + src + " iif lan":   wan,
					"203.0.113.130 from " + src + " iif lan": "wan", // the main table knows it better
					"203.0.113.161 from " + src + " iif lan": wan,   // and the gateway this one
					"10.1.7.7 from " + src + " iif lan":      "lan",
					"192.0.2.9 from " + src + " iif lan":     "wan",
				})
			}
			ways(t, map[string]string{
				"2001:db8::1 from fd01::9 iif lan": "tun0",
				"fd02::9 from fd01::9 iif lan":     "wan",
				"10.1.0.1 from 192.0.2.9 iif wan":  "lo", // the machine itself
				// What the machine sends, also from an address in From.
				"8.8.8.8":                  "wan",
				"8.8.8.8 from 192.0.2.2":   "wan",
				"203.0.113.161":            "wan",
				"2001:db8::1":              "wan",
				"2001:db8::1 from fd01::1": "wan",
			})
			if err := a.Remove(); err != nil {
				t.Fatal(err)
			}
			run(t, "ip route del 203.0.113.128/25")
			if after := kernel(t); after != before {
				t.Errorf("changed:\n%s", changed(before, after))
			}
		})
	}
}

// All packets are taken, but not the gateway's own.
func TestDefaultRoute(t *testing.T) {
	world(t)
	before := kernel(t)
	uid := uint32(4711)
	dir := t.TempDir()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 3435})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	sock6, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("fd02::2"), Port: 3436})
	if err != nil {
		t.Fatal(err)
	}
	defer sock6.Close()
	a, err := Apply(dir, Plan{
		Device: "tun0", Prefixes: prefixes("0.0.0.0/0", "::/0"),
		Mark: 0x77, UID: &uid, Except: prefixes("9.9.9.9/32", "2620:fe::/48"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ways(t, map[string]string{
		"8.8.8.8":                        "tun0",
		"2001:db8::1":                    "tun0",
		"8.8.8.8 from 10.1.5.9 iif lan":  "tun0",
		"10.1.7.7":                       "lan",
		"192.0.2.1":                      "wan",
		"8.8.8.8 ipproto udp sport 3435": "wan", // the socket that Apply found
		"8.8.8.8 ipproto tcp sport 3435": "tun0",
		"2001:db8::1 from fd02::2 ipproto udp sport 3436": "wan",
		"2001:db8::1 from fd01::1 ipproto udp sport 3436": "tun0", // not that socket's address
		"8.8.8.8 mark 0x77": "wan",
		"8.8.8.8 uid 4711":  "wan",
		"8.8.8.8 uid 4712":  "tun0",
		"9.9.9.9":           "wan",
		"2620:fe::9":        "wan",
	})
	// An excepted packet without a route of the machine is lost, not looped.
	run(t, "ip route del default")
	if f := run(t, "ip -4 rule"); !strings.Contains(f, "proto 107") {
		t.Errorf("rules are not marked: %s", f)
	}
	var e net.Error
	if _, err := sock.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 9}); !errors.As(err, &e) || !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("own packet without a route: %v", err)
	}
	run(t, "ip route add default via 192.0.2.1")
	if err := a.Remove(); err != nil {
		t.Fatal(err)
	}
	if after := kernel(t); after != before {
		t.Errorf("changed:\n%s", changed(before, after))
	}
	if list, _ := filepath.Glob(filepath.Join(dir, stateDir, "*")); len(list) != 0 {
		t.Errorf("files left: %v", list)
	}
}

// A plan that would take the flows that it is for is refused.
func TestOwnTrafficUnknown(t *testing.T) {
	world(t)
	before := kernel(t)
	dir := t.TempDir()
	p := Plan{Device: "tun0", Prefixes: prefixes("0.0.0.0/0")}
	if _, err := Apply(dir, p); !errors.Is(err, ErrOwnTraffic) {
		t.Fatalf("err %v", err)
	}
	p.Own = []netip.AddrPort{} // there is none
	a, err := Apply(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	ways(t, map[string]string{"8.8.8.8": "tun0"})
	if err := a.Remove(); err != nil || kernel(t) != before {
		t.Errorf("err %v, left:\n%s", err, kernel(t))
	}
}

// With strict reverse path filters packets pass in both directions.
func TestStrictReversePathFilter(t *testing.T) {
	world(t)
	run(t, "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.tun0.rp_filter=1")
	defer run(t, "sysctl -qw net.ipv4.conf.all.rp_filter=0")
	a, err := Apply(t.TempDir(), Plan{Device: "tun0", Prefixes: prefixes("0.0.0.0/0"), Iif: []string{"lan"}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Remove()
	if v := strings.TrimSpace(run(t, "sysctl -n net.ipv4.conf.tun0.rp_filter")); v != "2" {
		t.Errorf("filter of the device is %s", v)
	}
	// Lookup of the input path: an answer from the device.
	ways(t, map[string]string{"10.1.5.9 from 8.8.8.8 iif tun0": "lan"})
}

// After an error half way nothing is left.
func TestFailureLeavesNothing(t *testing.T) {
	world(t)
	before := kernel(t)
	dir := t.TempDir()
	for name, p := range map[string]Plan{
		"no device":         {Device: "nosuch", Prefixes: prefixes("0.0.0.0/0"), Iif: []string{"lan"}},
		"interface name":    {Device: "tun0", Prefixes: prefixes("0.0.0.0/0"), Iif: []string{"a-name-much-too-long"}},
		"invalid prefix":    {Device: "tun0", Prefixes: []netip.Prefix{{}}, Iif: []string{"lan"}},
		"invalid source":    {Device: "tun0", Prefixes: prefixes("0.0.0.0/0"), From: []netip.Prefix{{}}},
		"invalid exception": {Device: "tun0", Prefixes: prefixes("::/0"), Iif: []string{"lan"}, Except: []netip.Prefix{{}}},
	} {
		if a, err := Apply(dir, p); err == nil {
			t.Errorf("%s: no error", name)
			a.Remove()
		}
		if after := kernel(t); after != before {
			t.Errorf("%s changed:\n%s", name, changed(before, after))
		}
	}
	if list, _ := filepath.Glob(filepath.Join(dir, stateDir, "*")); len(list) != 0 {
		t.Errorf("files left: %v", list)
	}
}

// What a killed gateway left is removed, what living ones have is not, whether
// they share its run directory or not.
func TestSweepAfterKill(t *testing.T) {
	world(t)
	before := kernel(t)
	shared, other := t.TempDir(), t.TempDir()
	victim := spawn(t, nil, "hold", shared)
	neighbour := spawn(t, nil, "hold", shared)
	stranger := spawn(t, nil, "hold", other)
	mine, err := Apply(shared, Plan{Device: "tun0", Prefixes: prefixes("198.51.100.0/25"), Iif: []string{"lan"}})
	if err != nil {
		t.Fatal(err)
	}
	if removed, err := Sweep(shared); err != nil || len(removed) != 0 {
		t.Fatalf("swept the living: %v %v", removed, err)
	}
	all := kernel(t)
	victim.kill(t)
	if kernel(t) != all {
		t.Error("rules went with the process: nothing is tested")
	}
	if removed, err := Sweep(other); err != nil || len(removed) != 0 {
		t.Errorf("swept another's: %v %v", removed, err)
	}
	removed, err := Sweep(shared)
	if err != nil || len(removed) == 0 {
		t.Fatalf("swept %v, %v", removed, err)
	}
	rest := strings.Count(kernel(t), "\n")
	if gone := strings.Count(all, "\n") - rest; gone != len(removed) {
		t.Errorf("%d lines are gone, %d reported: %v", gone, len(removed), removed)
	}
	if removed, err := Sweep(shared); err != nil || len(removed) != 0 {
		t.Errorf("swept twice: %v %v", removed, err)
	}
	ways(t, map[string]string{"8.8.8.8": "tun0", "8.8.8.8 ipproto udp sport 3435": "wan", "198.51.100.1 from 10.1.0.9 iif lan": "tun0"})
	for _, p := range []*peer{neighbour, stranger} {
		p.in.Close()
		p.expect(t, "removed")
	}
	if err := mine.Remove(); err != nil {
		t.Fatal(err)
	}
	if after := kernel(t); after != before {
		t.Errorf("changed:\n%s", changed(before, after))
	}
}

// The device goes with its process too, and somebody may have removed some of
// the rules by hand.
func TestSweepOfTheRest(t *testing.T) {
	world(t)
	dir := t.TempDir()
	p := spawn(t, nil, "hold", dir)
	p.kill(t)
	run(t, "ip link del tun0")
	run(t, "ip -4 rule del priority 10000")
	if removed, err := Sweep(dir); err != nil || len(removed) == 0 {
		t.Errorf("%v, %v", removed, err)
	}
	if rules := run(t, "ip -4 rule") + run(t, "ip -6 rule"); strings.Contains(rules, "proto 107") {
		t.Errorf("left: %s", rules)
	}
}

// CAP_NET_ADMIN is enough: for root that has dropped everything else, and for
// a user that never had more.
func TestOnlyNetAdmin(t *testing.T) {
	world(t)
	run(t, "sysctl -qw net.ipv4.conf.all.rp_filter=1")
	defer run(t, "sysctl -qw net.ipv4.conf.all.rp_filter=0")
	before := kernel(t)
	for name, attr := range map[string]*syscall.SysProcAttr{
		"root": nil,
		"user": {Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}},
	} {
		dir, err := os.MkdirTemp("/tmp", "o7gw-routes-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		job := "bare"
		if attr != nil {
			job = "hold"
			if err := os.Chown(dir, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		p := spawn(t, attr, job, dir)
		if name == "user" {
			ways(t, map[string]string{"8.8.8.8 uid 65534": "wan"})
		}
		p.in.Close()
		p.expect(t, "removed")
		if after := kernel(t); after != before {
			t.Errorf("%s changed:\n%s", name, changed(before, after))
		}
	}
}

// State files are of no use to somebody who can write them, but not do more.
func TestHostileState(t *testing.T) {
	world(t)
	before := kernel(t)
	dir := t.TempDir()
	if removed, err := Sweep(dir); err != nil || len(removed) != 0 {
		t.Errorf("empty: %v, %v", removed, err)
	}
	ns, err := lockNamespace()
	if err != nil {
		t.Fatal(err)
	}
	ns.unlock()
	r := &record{Version: recordVersion, Device: "lo", Rules: []ruleEntry{{Family: unix.AF_INET, Priority: 32766, Table: 254}}}
	f, err := createState(dir, ns.id, r)
	if err != nil {
		t.Fatal(err)
	}
	f.f.Close()
	for name, data := range map[string]string{
		"0-1-2.json": "", "x": "y", "7-": "[", strings.Split(filepath.Base(f.path), "-")[0] + "-1-0.json": `{"version":1,"rules":[{"family":2`,
	} {
		if err := os.WriteFile(filepath.Join(dir, stateDir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := Sweep(dir); err != nil || len(removed) != 0 {
		t.Errorf("%v, %v", removed, err)
	}
	if after := kernel(t); after != before {
		t.Errorf("changed:\n%s", changed(before, after))
	}
}

func TestHundredTimes(t *testing.T) {
	world(t)
	before, dir := kernel(t), t.TempDir()
	fds := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	open := fds()
	for range 100 {
		a, err := Apply(dir, Plan{Device: "tun0", Prefixes: prefixes("0.0.0.0/0", "::/0"), Iif: []string{"lan"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if after := kernel(t); after != before || fds() > open {
		t.Errorf("%d descriptors, were %d; left:\n%s", fds(), open, after)
	}
}

// Somebody holds the namespace: Apply waits for a while.
func TestNamespaceIsLocked(t *testing.T) {
	world(t)
	ns, err := lockNamespace()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		a, err := Apply(t.TempDir(), Plan{Device: "tun0", Prefixes: prefixes("0.0.0.0/0"), Iif: []string{"lan"}})
		if err == nil {
			err = a.Remove()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	ns.unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"pid":7,"device":"t","rules":[{"family":2,"priority":10001,"table":254,"suppress":0,"from":"10.0.0.0/8","iif":"lan"}],"routes":[{"prefix":"0.0.0.0/0","table":1070000}]}`))
	f.Add([]byte(`{"version":1,"rules":[{"family":10,"priority":10000,"goto":10003,"to":"fe80::1%eth0/64","uid":4}]}`))
	f.Add([]byte(`{"version":1,"routes":[{"prefix":"","table":1070000}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := parseRecord(data)
		if r == nil {
			return
		}
		for i := range r.Rules {
			r.Rules[i].rule()
			_ = r.Rules[i].String()
		}
		for i := range r.Routes {
			r.Routes[i].route(0)
			_ = r.Routes[i].String()
		}
	})
}
