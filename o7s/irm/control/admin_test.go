// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/security"
)

// same checks that the client sees what the daemon has.
func same[T any](t *testing.T, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Error(err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAdministration(t *testing.T) {
	d, _ := pairOfDaemons(t)
	c := d.dial(t)
	ctx := testContext(t)
	id, err := c.CreateIPCP(ctx, ipcp.EthLLC, "second")
	if err != nil {
		t.Fatal(err)
	}
	cfg := ipcp.Config{Type: ipcp.EthLLC, Layer: "l2", Hash: layer.SHA3_384, Eth: ipcp.EthConfig{Device: "sim1"}}
	if err := c.Bootstrap(ctx, id, cfg); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		c.CreateName(ctx, irm.NameInfo{Name: "n", Policy: irm.Spillover, Owner: 77, Server: irm.Protection{Paths: security.Paths{Enc: "/e", Cert: "/c", Key: "/k"}}}),
		c.BindProgram(ctx, irm.ProgramBinding{Path: "/bin/prog", Args: []string{"-l", ""}, Auto: true, Name: "n", Creds: irm.Creds{UID: 4242, Admin: true}}),
		c.BindProcess(ctx, os.Getpid(), "n"),
		c.Register(ctx, "n", id),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	ipcps, err := c.ListIPCPs(ctx)
	same(t, ipcps, err, d.irm.ListIPCPs())
	if len(ipcps) != 2 || ipcps[0].Layer != "l2" && ipcps[1].Layer != "l2" {
		t.Errorf("IPCPs %+v", ipcps)
	}
	names, err := c.ListNames(ctx)
	same(t, names, err, d.irm.ListNames())
	if len(names) != 1 || names[0].Owner != 77 || names[0].Server.Key != "/k" || len(names[0].Registered) != 1 {
		t.Errorf("names %+v", names)
	}
	procs, err := c.ListProcesses(ctx)
	same(t, procs, err, d.irm.ListProcesses())
	if exe, _ := os.Executable(); len(procs) != 1 || procs[0].Program != exe || procs[0].PID != os.Getpid() {
		t.Errorf("processes %+v", procs)
	}
	progs, err := c.ListPrograms(ctx)
	same(t, progs, err, d.irm.ListPrograms())
	if b := progs[0].Bindings[0]; b.Creds.UID != uint32(os.Getuid()) || b.Creds.PID != os.Getpid() || len(b.Args) != 2 {
		t.Errorf("the binder is believed: %+v", b)
	}
	status, err := c.Status(ctx)
	if err != nil || status.PID != os.Getpid() || status.IPCPs != 2 || status.Names != 1 || status.Processes != 1 ||
		status.Programs != 1 || status.Started.IsZero() || !strings.HasPrefix(status.Version, Compatible) {
		t.Errorf("status %+v, %v", status, err)
	}
	for _, err := range []error{
		c.Unregister(ctx, "n", id),
		c.UnbindProcess(ctx, os.Getpid(), "n"),
		c.UnbindProgram(ctx, "prog", "n"),
		c.DestroyName(ctx, "n"),
		c.DestroyIPCP(ctx, id),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if len(d.irm.ListNames()) != 0 || len(d.irm.ListIPCPs()) != 1 || len(d.irm.ListPrograms()) != 0 {
		t.Error("something is left")
	}
}

func TestRefusals(t *testing.T) {
	d, _ := pairOfDaemons(t)
	c := d.dial(t)
	ctx := testContext(t)
	id := d.irm.ListIPCPs()[0].ID
	_, enroll := c.Enroll(ctx, id, "other")
	for what, err := range map[string]error{
		"destroy of no IPCP":   c.DestroyIPCP(ctx, 99),
		"second bootstrap":     c.Bootstrap(ctx, id, ipcp.Config{Type: ipcp.EthDIX, Layer: "l"}),
		"enrolment":            enroll,
		"connect":              c.Connect(ctx, id, "other", "Management", qos.Raw),
		"disconnect":           c.Disconnect(ctx, id, "other", "Management"),
		"empty name":           c.CreateName(ctx, irm.NameInfo{}),
		"long name":            c.CreateName(ctx, irm.NameInfo{Name: strings.Repeat("n", 256)}),
		"relative program":     c.BindProgram(ctx, irm.ProgramBinding{Path: "prog", Name: "n"}),
		"unbind of no program": c.UnbindProgram(ctx, "prog", "n"),
		"no process":           c.BindProcess(ctx, 1<<30, "n"),
		"bind of a shim":       c.BindIPCP(ctx, id, "n"),
		"unbind of a shim":     c.UnbindIPCP(ctx, id, "n"),
		"too long": c.BindProgram(ctx, irm.ProgramBinding{Path: "/bin/prog", Name: "n",
			Args: []string{strings.Repeat("x", MaxRequest)}}),
	} {
		var code layer.Errno
		if !errors.As(err, &code) || strings.TrimSpace(err.Error()) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Status(ctx); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

// TestLongLists: lists that need many pages, and elements that are as large as
// a page.
func TestLongLists(t *testing.T) {
	d := startDaemon(t, nil)
	c := d.dial(t)
	ctx := testContext(t)
	for n := range 1500 {
		name := fmt.Sprintf("%04d%s", n, strings.Repeat("n", 251))
		if err := d.irm.CreateName(irm.NameInfo{Name: name}); err != nil {
			t.Fatal(err)
		}
		if n < 1000 {
			if err := c.BindProcess(ctx, os.Getpid(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 8 {
		b := irm.ProgramBinding{Path: fmt.Sprintf("/bin/p%d", n), Args: []string{strings.Repeat("a", MaxRequest-600)}, Name: "big", Auto: true}
		if err := c.BindProgram(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	names, err := c.ListNames(ctx)
	same(t, names, err, d.irm.ListNames())
	progs, err := c.ListPrograms(ctx)
	same(t, progs, err, d.irm.ListPrograms())
	procs, err := c.ListProcesses(ctx)
	same(t, procs, err, d.irm.ListProcesses())
	if len(names) != 1501 || len(progs) != 8 || len(procs) != 1 || len(procs[0].Names) != 1000 {
		t.Errorf("%d names, %d programs, %d processes", len(names), len(progs), len(procs))
	}
}

func TestConfigSurvives(t *testing.T) {
	addr := netip.MustParseAddr
	for _, want := range []ipcp.Config{
		{Type: ipcp.Local, Layer: "l", Hash: layer.SHA3_512},
		{Type: ipcp.UDP4, Layer: "\xff", UDP: ipcp.UDPConfig{
			Addr: addr("10.0.0.1"), Port: 3435, DNS: addr("10.0.0.2"), MTU: 1400, HostsFile: "/h",
			Hosts: map[string][]netip.Addr{"a": {addr("10.0.0.3"), addr("10.0.0.4")}, "b": {addr("10.0.0.5")}},
		}},
		{Type: ipcp.UDP6, UDP: ipcp.UDPConfig{Addr: addr("fe80::1%eth0")}},
		{Type: ipcp.EthDIX, Eth: ipcp.EthConfig{Device: "eth0", Ethertype: 0xA000}},
		{Type: ipcp.Unicast, Unicast: ipcp.UnicastConfig{
			AddrSize: 4, EIDSize: 8, MaxTTL: 60, AddrAuth: "flat", Directory: "DHT", Routing: "lfa", Congestion: "mb-ecn",
			LSTimeo: 1, LSUpdate: 2, LSRecalc: 3, DHTAlpha: 4, DHTK: 5, DHTExpire: 6, DHTRefresh: 7, DHTReplic: 8,
		}},
	} {
		got, err := configFromPB(configToPB(7, want))
		same(t, got, err, want)
	}
}
