// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package segment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// Addresses and MTU are those of the configuration; the MTU changes on demand.
func TestDevice(t *testing.T) {
	needRoot(t)
	c := newCluster(t, 1, 0)
	cfg := hub(0)
	cfg.Device, cfg.MTU = "seg-test", 1400
	cfg.Addresses = []netip.Prefix{netip.MustParsePrefix("10.9.8.7/24"), netip.MustParsePrefix("fd98::7/64")}
	s := New(cfg, stackNet{c.nodes[0].Stack()}, slog.New(slog.DiscardHandler))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	show := run(t, "ip addr show dev seg-test")
	for _, want := range []string{"mtu 1400", "10.9.8.7/24", "fd98::7/64", ",UP", s.Status().MAC} {
		if !strings.Contains(show, want) {
			t.Errorf("no %q in %s", want, show)
		}
	}
	cfg.MTU = 9000
	if keys := s.Update(cfg); len(keys) > 0 {
		t.Errorf("restart for %v", keys)
	}
	if show := run(t, "ip link show dev seg-test"); !strings.Contains(show, "mtu 9000") {
		t.Error(show)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.InterfaceByName("seg-test"); err == nil {
		t.Error("the device is left")
	}
	if err := s.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// Somebody deletes the interface: the segment says so, and ends as usual.
func TestDeviceDeleted(t *testing.T) {
	needRoot(t)
	c := newCluster(t, 2, 0)
	m, peer := c.computer(t, 0, hub(0)), c.computer(t, 1, spoke(0))
	peer.flows(t, 1)
	peer.ping(t, m.v4, 8)
	m.run(t, "ip link del "+m.name)
	waitFor(t, func() bool { return m.Status().LastError != "" }, func() string { return "not noticed" })
	peer.run(t, "ip neigh flush all")
	if _, err := unix.Write(peer.raw(t), frame(everybody, host(1), 60, 0)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return m.Status().Local.TxDropped > 0 }, func() string { return fmt.Sprintf("%+v", m.Status().Local) })
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// An interface that the administrator made to last is used, without a capability if
// it is ready, and stays.
func TestLastingDevice(t *testing.T) {
	needRoot(t)
	run(t, "ip tuntap add mode tap name seg-lasts")
	defer run(t, "ip link del seg-lasts")
	run(t, "ip link set seg-lasts up")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&head, &caps[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&head, &caps[0]); err != nil {
			t.Fatal(err)
		}
	}()
	none := caps
	none[0].Effective, none[1].Effective = 0, 0
	c := newCluster(t, 1, 0)
	cfg := hub(0)
	cfg.Device = "seg-lasts"
	if err := unix.Capset(&head, &none[0]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := New(cfg, stackNet{c.nodes[0].Stack()}, slog.New(slog.DiscardHandler))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := net.InterfaceByName("seg-lasts"); err != nil {
			t.Fatal("the interface is gone")
		}
	}
	cfg.Device = "seg-other"
	s := New(cfg, stackNet{c.nodes[0].Stack()}, slog.New(slog.DiscardHandler))
	if err := s.Start(t.Context()); !errors.Is(err, unix.EPERM) {
		t.Errorf("a new interface: %v", err)
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func links(t testing.TB) int {
	t.Helper()
	list, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Whatever makes Start fail, nothing is left, and the error says what it was.
func TestStartFails(t *testing.T) {
	needRoot(t)
	run(t, "ip link add seg-veth type veth peer name seg-veth2")
	defer run(t, "ip link del seg-veth")
	c := newCluster(t, 2, 0)
	l, err := c.nodes[0].Stack().Listen(t.Context(), "lan0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	files, devices := openFiles(t), links(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c2 := range map[string]struct {
		ctx    context.Context
		change func(*Config)
	}{
		"no TAP":        {t.Context(), func(c *Config) { c.Device = "seg-veth" }},
		"name too long": {t.Context(), func(c *Config) { c.Device = "a-name-that-is-too-long" }},
		"MTU":           {t.Context(), func(c *Config) { c.MTU = 70000 }},
		"address": {t.Context(), func(c *Config) {
			c.Addresses = []netip.Prefix{netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("ff02::1/128")}
		}},
		"name not served": {canceled, func(c *Config) { c.Listen = []string{"lan1", strings.Repeat("x", 300)} }},
	} {
		cfg := hub(1)
		c2.change(&cfg)
		s := New(cfg, stackNet{c.nodes[1].Stack()}, slog.New(slog.DiscardHandler))
		if err := s.Start(c2.ctx); err == nil {
			t.Errorf("%s: no error", name)
		} else if !strings.HasPrefix(err.Error(), "segment hub: ") {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
	if f, d := openFiles(t), links(t); f > files || d > devices {
		t.Errorf("%d descriptors, were %d; %d links, were %d", f, files, d, devices)
	}
}

// Two members started and stopped fifty times, with traffic under way: no
// descriptor, link or goroutine is left.
func TestHundredTimes(t *testing.T) {
	needRoot(t)
	c := newCluster(t, 2, 1500)
	round := func() {
		h := New(hub(0), stackNet{c.nodes[0].Stack()}, slog.New(slog.DiscardHandler))
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := New(spoke(0), stackNet{c.nodes[1].Stack()}, slog.New(slog.DiscardHandler))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return len(h.Status().Ports) == 1 }, func() string { return "no flow" })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	round()
	files, devices := openFiles(t), links(t)
	ignore := goleak.IgnoreCurrent()
	for range 50 {
		round()
	}
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
	waitFor(t, func() bool { return openFiles(t) <= files && links(t) <= devices }, func() string {
		return fmt.Sprintf("%d descriptors, were %d; %d links, were %d", openFiles(t), files, links(t), devices)
	})
}
