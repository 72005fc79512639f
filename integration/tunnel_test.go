// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

func TestGatewayToGateway(t *testing.T) {
	w := newWorld(t, 90*time.Second, 2)
	w.gateway(1, 1, addr4(0, 2), addr4(0, 2), false)
	w.gateway(0, 0, addr4(0, 1), addr4(0, 2), false)
	e := gatewayEnds()
	w.reach(0, e.addr[1], e.addr6[1])
	w.traffic(e)
}

// The same over an IPv6 layer: the tunnel carries IPv4 all the same.
func TestGatewayOverUDP6(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	w.gateway(1, 1, addr6(0, 2), addr6(0, 2), false)
	w.gateway(0, 0, addr6(0, 1), addr6(0, 2), false)
	e := gatewayEnds()
	w.reach(0, e.addr[1], e.addr6[1])
	w.pingFullSize(e, e.addr[1], 28)
	w.iperf(e, e.addr6[1])
}

// Gateways that use the daemons of their hosts.
func TestGatewayWithDaemon(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	w.udpPair(addr4, "vpn")
	for end := 1; end >= 0; end-- {
		w.gatewayOnDaemon(end, end)
	}
	e := gatewayEnds()
	w.reach(0, e.addr[1], e.addr6[1])
	w.pingFullSize(e, e.addr[1], 28)
	w.iperf(e, e.addr[1])
}

// gatewayOnDaemon starts a gateway on host i that uses its daemon, as one end of
// the tunnel "vpn"; end 1 is the server.
func (w *world) gatewayOnDaemon(i, end int) {
	w.t.Helper()
	v4, v6 := inner(end)
	tunnel := lab.Tunnel{Device: "o7", Addresses: []netip.Prefix{netip.PrefixFrom(v4, 24), netip.PrefixFrom(v6, 64)}}
	if end == 1 {
		tunnel.Listen = "vpn"
	} else {
		tunnel.Connect = "vpn"
	}
	_, err := w.hosts[i].StartGateway(w.ctx, filepath.Join(bin, "o7gw"), w.dirs[i], "irmd = true\n"+tunnel.String())
	if err != nil {
		w.t.Fatal(err)
	}
}

// ovpn starts the point-to-point tunnel on host i with its daemon; end 1 is the
// server.
func (w *world) ovpn(i, end int) *lab.Proc {
	w.t.Helper()
	v4, _ := inner(end)
	args := []string{"-i", v4.String(), "-m", "255.255.255.0"}
	until := "Waiting for a new flow..."
	if end == 0 {
		args = append(args, "-n", "vpn")
		until = "Starting read/write threads."
	}
	return w.start(i, until, "ovpn", args...)
}

var deviceLine = regexp.MustCompile(`Tunnel device name is (\S+)\.\n`)

// ovpnDevice waits for the device of an ovpn.
func (w *world) ovpnDevice(p *lab.Proc) string {
	w.t.Helper()
	if err := p.WaitFor(w.ctx, "Starting read/write threads."); err != nil {
		w.t.Fatal(err)
	}
	m := deviceLine.FindStringSubmatch(p.Output())
	if m == nil {
		w.t.Fatalf("ovpn did not tell its device:\n%s", p.Output())
	}
	return m[1]
}

func TestOvpnToOvpn(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	w.udpPair(addr4, "vpn")
	w.mustRun(1, "irm", "bind", "program", bin+"/ovpn", "name", "vpn")
	server := w.ovpn(1, 1)
	client := w.ovpn(0, 0)
	e := tunnelEnds{hosts: [2]int{0, 1}, dev: [2]string{w.ovpnDevice(client), w.ovpnDevice(server)}}
	for end := range 2 {
		e.addr[end], _ = inner(end)
	}
	w.reach(0, e.addr[1])
	w.traffic(e)
	if err := client.Stop(w.ctx); err != nil || !strings.Contains(client.Output(), "Shutting down...") {
		t.Errorf("client: %v\n%s", err, client.Output())
	}
}

// A gateway in plain mode is a peer for ovpn, in both parts.
func TestGatewayPlainToOvpn(t *testing.T) {
	t.Run("gateway is server", func(t *testing.T) {
		w := newWorld(t, 60*time.Second, 2)
		w.daemon(0, lab.UDPLayer{Name: "udp", IP: addr4(0, 1), Hosts: map[string]netip.Addr{"vpn": addr4(0, 2)}})
		w.gateway(1, 1, addr4(0, 2), addr4(0, 2), true)
		client := w.ovpn(0, 0)
		e := tunnelEnds{hosts: [2]int{0, 1}, dev: [2]string{w.ovpnDevice(client), "o7"}}
		for end := range 2 {
			e.addr[end], _ = inner(end)
		}
		w.reach(0, e.addr[1])
		w.netcat(e, e.addr)
		w.iperf(e, e.addr[1])
	})
	t.Run("ovpn is server", func(t *testing.T) {
		w := newWorld(t, 60*time.Second, 2)
		w.daemon(1, lab.UDPLayer{Name: "udp", IP: addr4(0, 2), Serve: []string{"vpn"}})
		w.mustRun(1, "irm", "bind", "program", bin+"/ovpn", "name", "vpn")
		server := w.ovpn(1, 1)
		w.gateway(0, 0, addr4(0, 1), addr4(0, 2), true)
		e := tunnelEnds{hosts: [2]int{0, 1}, dev: [2]string{"o7", w.ovpnDevice(server)}}
		for end := range 2 {
			e.addr[end], _ = inner(end)
		}
		w.reach(0, e.addr[1])
		w.netcat(e, e.addr)
		w.iperf(e, e.addr[1])
	})
}

// The demo runs and cleans up after itself.
func TestDemoOnce(t *testing.T) {
	w := newWorld(t, 120*time.Second, 1)
	before := w.system(0, "sh", "-c", "ip netns list; ip -o link")
	p, err := w.hosts[0].Start(exec.Command(filepath.Join(bin, "o7gw"), "demo", "--once"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(w.ctx); err != nil {
		t.Fatalf("%v\n%s", err, p.Output())
	}
	if after := w.system(0, "sh", "-c", "ip netns list; ip -o link"); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
	if pids, err := w.hosts[0].Processes(); err != nil || len(pids) != 0 {
		t.Errorf("processes left: %v, %v", pids, err)
	}
}
