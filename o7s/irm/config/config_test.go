// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
)

func mustLoad(t *testing.T, path string) *File {
	t.Helper()
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// TestSpecSamples reads the two files of spec 40 §4.4.
func TestSpecSamples(t *testing.T) {
	a := mustLoad(t, "testdata/machine-a.toml")
	equal(t, "names of A", a.Names, []irm.NameInfo{
		{Name: "shop.web", Policy: irm.RoundRobin, Programs: []irm.ProgramBinding{
			{Path: "/usr/local/bin/webd", Args: []string{"--serve", "--workers", "4"}, Auto: true, Name: "shop.web"}}},
		{Name: "core", Policy: irm.Spillover},
	})
	equal(t, "IPCPs of A", a.IPCPs, []IPCP{
		{Type: ipcp.EthDIX, Name: "lan0", Register: []string{"core", "core.a"}, line: 9,
			Config: ipcp.Config{Type: ipcp.EthDIX, Layer: "lan", Hash: layer.SHA3_256, Eth: ipcp.EthConfig{Device: "eth0", Ethertype: 0xA123}}},
		{Type: ipcp.Unicast, Name: "core.a", Register: []string{"shop.web"}, Autobind: true, line: 15,
			Config: ipcp.Config{Type: ipcp.Unicast, Layer: "core", Hash: layer.SHA3_256, Unicast: ipcp.UnicastConfig{Routing: "lfa"}}},
	})
	b := mustLoad(t, "testdata/machine-b.toml")
	if len(b.Names) != 3 || len(b.IPCPs) != 2 {
		t.Fatalf("B has %d names and %d IPCPs", len(b.Names), len(b.IPCPs))
	}
	equal(t, "second IPCP of B", b.IPCPs[1], IPCP{Type: ipcp.Unicast, Name: "core.b", Enroll: "core", Autobind: true,
		Connect: []string{"core.a"}, line: 12, Config: ipcp.Config{Type: ipcp.Unicast, Hash: layer.SHA3_256}})
}

// TestShippedSample reads configs/irmd.toml as it is and with every key that
// it shows.
func TestShippedSample(t *testing.T) {
	const path = "../../../configs/irmd.toml"
	if f := mustLoad(t, path); len(f.IPCPs) != 1 || f.IPCPs[0].Config.Layer != "loop" {
		t.Errorf("the sample as it is: %+v", f)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	commented := regexp.MustCompile(`(?m)^#([a-z"[][^ \]]*(\]| =))`)
	// An IPCP has only one of the two, and conn goes with enroll.
	text := regexp.MustCompile(`(?m)^#(enroll|conn) = .*$`).ReplaceAllString(string(data), "")
	text = commented.ReplaceAllString(text, "$1")
	f, err := Parse([]byte(text), path)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Names) != 1 || len(f.IPCPs) != 5 || len(f.IPCPs[1].Config.UDP.Hosts) != 2 {
		t.Errorf("the whole sample: %d names, %d IPCPs: %+v", len(f.Names), len(f.IPCPs), f)
	}
}

// TestShippedTwoMachines: the samples are right, and say what they say they do.
func TestShippedTwoMachines(t *testing.T) {
	a, b := mustLoad(t, "../../../configs/two-machines/a.toml"), mustLoad(t, "../../../configs/two-machines/b.toml")
	if len(a.IPCPs) != 2 || a.IPCPs[1].Config.Layer != b.IPCPs[1].Enroll || a.IPCPs[1].Name != b.IPCPs[1].Connect[0] ||
		a.IPCPs[0].Config.Eth != b.IPCPs[0].Config.Eth {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestUDP(t *testing.T) {
	f, err := Parse([]byte(`
[udp4.u]
bootstrap = "wan"
ip = "192.0.2.1"
dns = "192.0.2.53"
port = 4000
mtu = 9000
hosts_file = "/etc/o7s/hosts"
hosts = { "op.ing" = "192.0.2.2", echo = ["192.0.2.3", "192.0.2.4"] }
reg = ["op.ing"]
autobind = false
[udp6.v]
bootstrap = "wan6"
ip = "2001:db8::1"
[udp6.v.hosts]
echo = "2001:db8::2"
`), "u.toml")
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr
	equal(t, "udp4", f.IPCPs[0].Config.UDP, ipcp.UDPConfig{Addr: ip("192.0.2.1"), Port: 4000, DNS: ip("192.0.2.53"), MTU: 9000,
		HostsFile: "/etc/o7s/hosts", Hosts: map[string][]netip.Addr{"op.ing": {ip("192.0.2.2")}, "echo": {ip("192.0.2.3"), ip("192.0.2.4")}}})
	equal(t, "udp6", f.IPCPs[1].Config.UDP, ipcp.UDPConfig{Addr: ip("2001:db8::1"), Port: 3435,
		Hosts: map[string][]netip.Addr{"echo": {ip("2001:db8::2")}}})
	if f.IPCPs[0].Autobind {
		t.Error("autobind = false binds")
	}
}

// TestSpellings: those of the prototype's file and those of its command line.
func TestSpellings(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  ipcp.UnicastConfig
	}{
		{"routing = \"link-state\"\ncongestion = \"lfa\"\naddr-auth = \"flat\"\ndirectory = \"dht\"\ndht_t_expiry = 100",
			ipcp.UnicastConfig{Routing: "link_state", Congestion: "mb-ecn", AddrAuth: "flat", Directory: "DHT", DHTExpire: 100}},
		{"routing = \"link_state\"\ncongestion = \"mb-ecn\"\naddr_auth = \"flat\"\ndirectory = \"DHT\"\ndht_t_expire = 100",
			ipcp.UnicastConfig{Routing: "link_state", Congestion: "mb-ecn", AddrAuth: "flat", Directory: "DHT", DHTExpire: 100}},
	} {
		f, err := Parse([]byte("[unicast.a]\nbootstrap = \"l\"\nhash = \"SHA3_512\"\n"+c.lines), "s.toml")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, c.lines, f.IPCPs[0].Config.Unicast, c.want)
		equal(t, "hash", f.IPCPs[0].Config.Hash, layer.SHA3_512)
	}
	for _, lb := range []string{"spill", "spillover"} {
		f, err := Parse([]byte("[name.n]\nlb = \""+lb+"\""), "s.toml")
		if err != nil || f.Names[0].Policy != irm.Spillover {
			t.Errorf("lb = %q: %v, %v", lb, f, err)
		}
	}
	for _, enroll := range []string{"enrol", "enroll"} {
		f, err := Parse([]byte("[unicast.n]\n"+enroll+" = \"x\""), "s.toml")
		if err != nil || f.IPCPs[0].Enroll != "x" {
			t.Errorf("%s: %v, %v", enroll, f, err)
		}
	}
}

// TestOrder: IPCPs of several types may be mixed.
func TestOrder(t *testing.T) {
	f, err := Parse([]byte(`
unicast.a.bootstrap = "l"
[local.b]
[unicast.c]
[name.x]
[local]
d = {}
`), "o.toml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range f.IPCPs {
		got = append(got, p.Type.String()+"."+p.Name)
	}
	if s := strings.Join(got, " "); s != "unicast.a local.b unicast.c local.d" {
		t.Errorf("order %s", s)
	}
}

// TestParseTables: the tables of a node among others, whose owner decodes
// them strictly.
func TestParseTables(t *testing.T) {
	data := []byte("[udp4.u]\nbootstrap = \"wan\"\nip = \"192.0.2.1\"\n[name.n]\n[[tunnel]]\nname = \"vpn\"\n[names]\nsuffix = \"o7s\"\n")
	f, err := ParseTables(data, "gw.toml")
	if err != nil || len(f.IPCPs) != 1 || len(f.Names) != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	var own struct {
		Tables
		Tunnel []struct{ Name string }
		Names  struct{ Suffix string }
	}
	if err := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields().Decode(&own); err != nil {
		t.Error(err)
	}
	if _, err := ParseTables([]byte("[tunnel]\n[udp4.u]\nbogus = 1\n"), "gw.toml"); err == nil || err.Error() != "gw.toml:3:1: udp4.u.bogus: unknown key" {
		t.Errorf("a mistake in our part: %v", err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/crt.pem", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Parse([]byte("[name.n]\nserver_crt_file = \""+dir+"/crt.pem\"\n"), "c.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err != nil {
		t.Errorf("all is there: %v", err)
	}
	f.Names[0].Client.Key = dir + "/none.pem"
	f.Names[0].Server.Enc = dir
	err = f.Check()
	if err == nil || !strings.Contains(err.Error(), "none.pem") || !strings.Contains(err.Error(), dir+" is not a file") {
		t.Errorf("missing files: %v", err)
	}
}

func TestLoadMissing(t *testing.T) {
	if _, err := Load(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}
