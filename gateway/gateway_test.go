// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"o7gw/gateway/config"
	"o7gw/gateway/nstest"
	"o7gw/gateway/tunnel"
)

// TestMain runs the tests again in a network namespace of their own.
func TestMain(m *testing.M) {
	os.Exit(nstest.Main(m))
}

func needRoot(t *testing.T) {
	t.Helper()
	nstest.Need(t)
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
}

// conf is the configuration of one of two gateways on the loopback interface.
func conf(t *testing.T, dir, own, extra string, tunnels ...string) *config.File {
	t.Helper()
	text := fmt.Sprintf("run_dir = %q\n[udp4.lo]\nbootstrap = \"lo\"\nip = %q\nhosts = { \"gw.test\" = \"127.0.0.1\" }\n", dir, own)
	for _, tn := range tunnels {
		text += "[[tunnel]]\n" + tn + "\n"
	}
	f, err := config.Parse([]byte(text+extra), "test.toml")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const (
	serverTunnel = "name = \"srv\"\ndevice = \"srv0\"\nlisten = \"gw.test\"\naddress = [\"10.77.0.1/24\"]"
	clientTunnel = "name = \"cli\"\ndevice = \"cli0\"\nconnect = \"gw.test\"\naddress = [\"10.77.0.2/24\"]\nreconnect_max = \"500ms\""
)

func begin(t *testing.T, f *config.File) *Gateway {
	t.Helper()
	g := New(f, slog.New(slog.DiscardHandler))
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// await polls until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for i := 0; !cond(); i++ {
		if i == 2000 {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func peers(g *Gateway, i int) []tunnel.PeerStatus {
	s := g.Status()
	if i >= len(s.Tunnels) {
		return nil
	}
	return slices.DeleteFunc(s.Tunnels[i].Peers, func(p tunnel.PeerStatus) bool { return !p.Exchanged })
}

func TestConnectReloadAndReconnect(t *testing.T) {
	needRoot(t)
	sdir, cdir := t.TempDir(), t.TempDir()
	s := begin(t, conf(t, sdir, "127.0.0.1", "", serverTunnel))
	defer func() { s.Close() }()
	c := begin(t, conf(t, cdir, "127.0.0.2", "", clientTunnel))
	defer c.Close()
	await(t, "connection", func() bool { return len(peers(s, 0)) == 1 && len(peers(c, 0)) == 1 })
	link, err := netlink.LinkByName("cli0")
	if err != nil || link.Attrs().MTU != peers(c, 0)[0].MTU {
		t.Errorf("interface %+v, %v; flow MTU %d", link.Attrs(), err, peers(c, 0)[0].MTU)
	}

	// A reload announces and allows a network: the client gets a route.
	changed := serverTunnel + "\nannounce = [\"192.168.9.0/24\"]"
	got := s.Reload(t.Context(), conf(t, sdir, "127.0.0.1", "", changed, "name = \"two\"\nlisten = \"second.test\"\naddress = [\"10.88.0.1/24\"]"))
	if want := []Change{{"tunnel srv", "updated", ""}, {"tunnel two", "started", ""}}; !slices.Equal(got, want) {
		t.Errorf("reload: %v", got)
	}
	got = c.Reload(t.Context(), conf(t, cdir, "127.0.0.2", "", clientTunnel+"\nallow = [\"10.77.0.0/24\", \"192.168.0.0/16\"]"))
	if want := []Change{{"tunnel cli", "updated", ""}}; !slices.Equal(got, want) {
		t.Errorf("reload: %v", got)
	}
	network := netip.MustParsePrefix("192.168.9.0/24")
	await(t, "route", func() bool { return slices.Contains(c.Status().Tunnels[0].Routes, network) })
	if r, err := netlink.RouteGet(net.IPv4(192, 168, 9, 1)); err != nil || r[0].LinkIndex != link.Attrs().Index {
		t.Errorf("route %v, %v", r, err)
	}

	// What cannot change is reported; a tunnel that is gone is stopped.
	got = s.Reload(t.Context(), conf(t, sdir, "127.0.0.3", "", strings.Replace(changed, "10.77.0.1/24", "10.77.0.9/24", 1)))
	want := []Change{
		{"node", "needs a restart", "the tables of names and IPCPs changed"},
		{"tunnel two", "stopped", ""},
		{"tunnel srv", "needs a restart", "for address; the other keys are applied"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("reload: %v", got)
	}
	if got := s.Reload(t.Context(), conf(t, sdir, "127.0.0.1", "", changed)); !slices.Equal(got, []Change{{"tunnel srv", "unchanged", ""}}) {
		t.Errorf("reload of the same: %v", got)
	}

	// The server goes and comes back.
	s.Close()
	await(t, "loss", func() bool { return len(peers(c, 0)) == 0 })
	if len(c.Status().Tunnels[0].Routes) != 0 {
		t.Error("the route outlives the peer")
	}
	s = begin(t, conf(t, sdir, "127.0.0.1", "", serverTunnel))
	await(t, "reconnect", func() bool { return len(peers(c, 0)) == 1 })
}

func TestStatusSocket(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	g := begin(t, conf(t, dir, "127.0.0.1", "", serverTunnel))
	defer g.Close()
	srv, err := g.ServeStatus()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if _, err := g.ServeStatus(); err == nil || !strings.Contains(err.Error(), "another o7gw") {
		t.Errorf("second server: %v", err)
	}
	if info, err := os.Stat(StatusPath(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info, err)
	}
	// A client that does not read harms nobody.
	silent, err := net.Dial("unix", StatusPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s, err := FetchStatus(t.Context(), dir)
	if err != nil || s.PID != os.Getpid() || len(s.Tunnels) != 1 || s.Tunnels[0].Device != "srv0" || s.Tunnels[0].Role != "server" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
	srv.Close()
	if _, err := FetchStatus(t.Context(), dir); err == nil {
		t.Error("status without a gateway")
	}
}

func TestDoctor(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	file := conf(t, dir, "127.0.0.2", "", clientTunnel)
	find := func(subject string) Finding {
		t.Helper()
		for _, f := range Examine(t.Context(), file, "test.toml", nil) {
			if f.Subject == subject {
				return f
			}
		}
		t.Fatalf("nothing about %s", subject)
		return Finding{}
	}
	if f := find("TUN device"); f.Result != OK {
		t.Errorf("%+v", f)
	}
	if f := find("tunnel cli"); f.Result != Bad || f.Mend == "" || !strings.Contains(f.Text, "not reachable") {
		t.Errorf("no server: %+v", f)
	}
	s := begin(t, conf(t, t.TempDir(), "127.0.0.1", "", serverTunnel))
	defer s.Close()
	if f := find("tunnel cli"); f.Result != OK || !strings.Contains(f.Text, "flow MTU") {
		t.Errorf("with a server: %+v", f)
	}
	c := begin(t, file)
	defer c.Close()
	srv, err := c.ServeStatus()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	await(t, "connection", func() bool { return len(peers(c, 0)) == 1 })
	if f := find("tunnel cli"); f.Result != OK || !strings.Contains(f.Text, "full") {
		t.Errorf("running: %+v", f)
	}
	found := Examine(t.Context(), nil, "test.toml", fmt.Errorf("test.toml:1:1: mistake"))
	if f := found[len(found)-1]; f.Result != Bad || !strings.Contains(f.Text, "mistake") {
		t.Errorf("%+v", f)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	needRoot(t)
	ignore := goleak.IgnoreCurrent()
	two := strings.Replace(serverTunnel, `"srv"`, `"other"`, 1)
	two = strings.Replace(two, "gw.test", "gw2.test", 1)
	// The same interface twice: the configuration refuses it, so it is made
	// outside.
	busy := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "busy0"}, PeerName: "busy1"}
	if err := netlink.LinkAdd(busy); err != nil {
		t.Fatal(err)
	}
	defer netlink.LinkDel(busy)
	f := conf(t, t.TempDir(), "127.0.0.1", "", serverTunnel, strings.Replace(two, "srv0", "busy0", 1))
	g := New(f, slog.New(slog.DiscardHandler))
	if err := g.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "tunnel other") {
		t.Errorf("start: %v", err)
	}
	if _, err := netlink.LinkByName("srv0"); err == nil {
		t.Error("srv0 is left")
	}
	goleak.VerifyNone(t, ignore)
}

func TestHundredStartsLeaveNothing(t *testing.T) {
	needRoot(t)
	sdir, cdir := t.TempDir(), t.TempDir()
	ignore := goleak.IgnoreCurrent()
	fds := func() int {
		e, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(e)
	}
	var before int
	for i := range 101 {
		if i == 1 {
			before = fds()
		}
		s := begin(t, conf(t, sdir, "127.0.0.1", "", serverTunnel))
		c := begin(t, conf(t, cdir, "127.0.0.2", "", clientTunnel))
		await(t, "connection", func() bool { return len(peers(c, 0)) == 1 })
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := fds(); n != before {
		t.Errorf("%d descriptors, were %d", n, before)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Type() == "tuntap" {
			t.Errorf("link %s is left", l.Attrs().Name)
		}
	}
	goleak.VerifyNone(t, ignore)
}
